"""A made-up electrode plant: the files that two coating lines would hand in, faults included.

Here belongs the simulation of a plant's records, from material lots to cycles, and how each
campaign writes them down: language, units, encoding, dates, and mistakes. Line 1 makes NMC111
cathodes (two campaigns), line 2 graphite anodes (one). Reading or judging such files does not
belong here, nor does a model of manufacturing that designs are based on.

Everything is generated, says so (`SYN-` identifiers, "(synthetic)" names, `synthetic: true` in
the mapping), and depends on the number of batches and the seed only. Faults sit on records that
no other record refers to, so that what an importer refuses is exactly what was planted here.

Read it in the order of the process: `chemistry` and `campaigns` say what is made, `physics`,
`electrode_line` and `cell_lab` how it comes out, `columns`, `dialects` and `sheets` how it is
written down, `faults` what goes wrong, `files` puts it on disk.
"""
