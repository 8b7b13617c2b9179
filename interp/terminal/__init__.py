"""What a person sees in a terminal: tables, bars, examples; and the files of `--out`."""
