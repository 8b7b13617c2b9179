"""Whether a main task reaches its auxiliaries' lengths: gaps, gains, and the studies that measure them."""
