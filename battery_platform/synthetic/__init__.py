"""What we make up, labelled so everywhere: an electrode plant and a table of cells.

`plant` and `cell_cases` generate files and know only contracts, settings and errors. `deliveries`
hands these files in as anybody's would be; nothing else here knows of the lake. Measured data,
and readers of any file, belong in `records`, which knows nothing of this folder.
"""
