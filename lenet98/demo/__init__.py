"""A page that shows LeNet-5 at work: one HTML file that asks for nothing, in plain JavaScript.

`rounding` defines the networks that the page holds: trained ones whose weights are rounded to few bits.  `page` puts
them, test digits and the sources beside it into one file.  `lenet5.js` is the arithmetic, `check` compares it with
Python's, `server` shows the page in a browser.  `lenet98 demo --output demo.html` writes the file.
"""
