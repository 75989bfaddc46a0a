"""The tables of the networks whose maps do not all read every map, entry by entry.

Each word is an output map; its digits are the input maps that it reads, in base 16.
"""

from collections import Counter

import pytest

from lenet98.networks import LENET1, LENET4, LENET5, TABLE_1990, TABLE_I

# Table I, column by column.
C3_OF_LENET5 = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"

# The connections of the 1990 network between its first averaged maps and its second convolution.
C3_OF_LENET1 = "0 01 01 1 01 01 2 23 23 3 23 23"

# Ours: III.C.8 gives no tables, but sizes that these meet.
S2_OF_LENET4 = "0 0 1 1 2 2 3 3"
C3_OF_LENET4 = "012 123 234 345 456 567 067 017 0145 1256 2367 0347 01246 12357 02456 13567"
C5_OF_LENET4 = """
01234 12345 23456 34567 45678 56789 6789a 789ab 89abc 9abcd abcde bcdef 0cdef 01def 012ef 0123f
01258 12369 2347a 3458b 4569c 567ad 678be 789cf 089ad 19abe 2abcf 03bcd 14cde 25def 036ef 0147f
0146a 1257b 2368c 3479d 458ae 569bf 067ac 178bd 289ce 39adf 04abe 15bcf 026cd 137de 248ef 0359f
0259c 136ad 247be 358cf 0469d 157ae 268bf 0379c 148ad 259be 36acf 047bd 158ce 269df 037ae 148bf
0368d 1479e 258af 0369b 147ac 258bd 369ce 47adf 058be 169cf 027ad 138be 249cf 035ad 146be 257cf
0123 1234 2345 3456 4567 5678 6789 789a 89ab 9abc abcd bcde cdef 0def 01ef 012f
0259 136a 247b 358c 469d 57ae 68bf 079c 18ad 29be 3acf 04bd 15ce 26df 037e 148f
016b 238d 45af 167c 389e 05ab 27cd 49ef
"""

TABLES = {
    (LENET5, "C3"): C3_OF_LENET5,
    (LENET1, "C3"): C3_OF_LENET1,
    (LENET4, "S2"): S2_OF_LENET4,
    (LENET4, "C3"): C3_OF_LENET4,
    (LENET4, "C5"): C5_OF_LENET4,
}


def table(spec, name):
    return next(layer for layer in spec.geometry if layer.name == name).table


@pytest.mark.parametrize(("network", "name"), TABLES, ids=lambda part: getattr(part, "name", part))
def test_every_entry_is_as_written_here(network, name):
    written = ["".join(f"{source:x}" for source in sources) for sources in table(network, name)]
    assert written == TABLES[network, name].split()


def test_the_tables_have_their_own_names():
    assert table(LENET5, "C3") == TABLE_I
    assert table(LENET1, "C3") == TABLE_1990


def test_every_other_layer_reads_all_maps_or_its_own():
    for spec in (LENET1, LENET4, LENET5):
        for layer in spec.hidden:
            if (spec, layer.name) not in TABLES:
                own = tuple((m,) for m in range(layer.out_shape[0]))
                assert layer.every_map or (layer.kind == "subsampling" and layer.table == own)


@pytest.mark.parametrize(("name", "kernels", "maps"), [("C3", 60, 8), ("C5", 560, 16)])
def test_the_tables_of_lenet4_are_even_and_no_two_units_read_alike(name, kernels, maps):
    entries = table(LENET4, name)
    readers = Counter(source for sources in entries for source in sources)
    assert sum(readers.values()) == kernels
    assert len(readers) == maps
    assert max(readers.values()) - min(readers.values()) <= 1
    assert len({*entries}) == len(entries)
