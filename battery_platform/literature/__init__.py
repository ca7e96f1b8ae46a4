"""What texts say about electrodes: porosity, thickness and mass loading, with their position in the text.

In scope: reading a plain-text document (`documents`), finding numbers with units (`quantities`),
linking them to a property (`extraction`), reporting what a document leaves out (`completeness`), and the
watched folder of texts (`folder`). Out of scope: fetching papers and reading PDF.
"""
