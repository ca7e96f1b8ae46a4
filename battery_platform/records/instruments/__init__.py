"""Files of a lab's instruments beside the cyclers: rheometers, lines, peel testers.

Each reader turns a file into tidy tables of text (`model`); `readers` knows which reader takes a
file and under what mapping its tables go the way of any form. Cyclers, whose files are large,
stand in `cyclers`.
"""
