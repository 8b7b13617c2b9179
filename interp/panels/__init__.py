"""Figures as the report page holds them: data, legend, description, numbers."""
