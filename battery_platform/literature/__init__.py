"""What texts say about electrodes: porosity, thickness and mass loading, with the place they stand.

Here belong reading a plain-text document (`documents`), finding numbers with units
(`quantities`), linking them to a property (`extraction`) and saying what a document leaves out
(`completeness`). Storing mentions does not belong here, nor does fetching papers or reading PDF.
"""
