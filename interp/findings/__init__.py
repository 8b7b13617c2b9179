"""What runs and studies hold for a page, gathered."""
