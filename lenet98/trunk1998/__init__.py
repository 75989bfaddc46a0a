"""C1 to S4 of a LeNet-5 of 1998, estimated from the states that Figs. 13 and 25 display (Sections III.E and VII).

`pictures` takes the figures out of the authors' PDF.  `display` says what a gray level tells of a state.  `estimate`
solves for the weights, with an error for each, and `checks` holds the result against what it was not fitted to.
`numbers` has the result, which is part of this package: `lenet98.recovered()`.  `python -m lenet98.trunk1998` makes it
anew from the PDF.
"""
