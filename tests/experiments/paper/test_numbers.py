"""The numbers of the paper's figures, all of them, written here a second time."""

import pytest

from experiments.paper import numbers as paper

# Title and test error in Fig. 9, percent; multiply-accumulates (Fig. 11) and stored variables (Fig. 12), thousands;
# rejected (Fig. 10), percent.  None where a figure does not show the classifier.
FIGS_9_TO_12 = {
    "linear": ("Linear", 12.0, 4, 4, None),
    "deslant_linear": ("[deslant] Linear", 8.4, None, None, None),
    "pairwise_linear": ("Pairwise", 7.6, 36, 35, None),
    "knn": ("K-NN Euclidean", 5.0, None, None, None),
    "deslant_knn": ("[deslant] K-NN Euclidean", 2.4, 24000, 24000, 8.1),
    "pca40_quadratic": ("40 PCA + quadratic", 3.3, 39, 40, None),
    "rbf1000_linear": ("1000 RBF + linear", 3.6, 794, 794, None),
    "16x16_tangent_distance": ("[16x16] Tangent Distance", 1.1, 20000, 25000, 1.9),
    "svm_poly4": ("SVM poly 4", 1.1, 14000, 14000, 1.8),
    "rs_svm_poly5": ("RS-SVM poly 5", 1.0, 650, 650, None),
    "dist_vsvm_poly9": ("[dist] V-SVM poly 9", 0.8, 28000, 28000, None),
    "mlp_300": ("28x28-300-10", 4.7, None, None, None),
    "dist_mlp_300": ("[dist] 28x28-300-10", 3.6, None, None, None),
    "deslant_20x20_mlp_300": ("[deslant] 20x20-300-10", 1.6, 123, 123, 3.2),
    "mlp_1000": ("28x28-1000-10", 4.5, 795, 795, None),
    "dist_mlp_1000": ("[dist] 28x28-1000-10", 3.8, 795, 795, None),
    "mlp_300_100": ("28x28-300-100-10", 3.05, 267, 267, None),
    "dist_mlp_300_100": ("[dist] 28x28-300-100-10", 2.5, 267, 267, None),
    "mlp_500_150": ("28x28-500-150-10", 2.95, 469, 469, None),
    "dist_mlp_500_150": ("[dist] 28x28-500-150-10", 2.45, 469, 469, None),
    "16x16_lenet1": ("[16x16] LeNet-1", 1.7, 100, 3, 3.7),
    "lenet4": ("LeNet-4", 1.1, 260, 17, 1.8),
    "lenet4_local": ("LeNet-4 / Local", 1.1, 20000, 24000, 1.4),
    "lenet4_knn": ("LeNet-4 / K-NN", 1.1, 10000, 24000, 1.6),
    "lenet5": ("LeNet-5", 0.95, 401, 60, None),
    "dist_lenet5": ("[dist] LeNet-5", 0.8, 401, 60, None),
    "dist_boosted_lenet4": ("[dist] Boosted LeNet-4", 0.7, 460, 51, 0.5),
}


@pytest.mark.parametrize("row", paper.ROWS, ids=lambda row: row.name)
def test_every_bar_of_figs_9_to_12(row):
    found = (row.title, row.test_error, row.kilo_macs, row.kilo_variables, row.rejected)
    assert found == FIGS_9_TO_12[row.name]


def test_the_rows_stand_in_the_order_of_fig_9():
    assert [row.name for row in paper.ROWS] == list(FIGS_9_TO_12)
    assert {name: error for name, (_, error, *_) in FIGS_9_TO_12.items()} == paper.TEST_ERROR
    assert {name: title for name, (title, *_) in FIGS_9_TO_12.items()} == paper.TITLES


def test_the_markers_of_fig_5():
    assert list(paper.FIG5_TEST) == [
        2.65, 2.24, 1.48, 1.43, 1.43, 1.09, 1.04, 1.07, 0.99, 0.96, 0.96, 0.99, *[0.96] * 9
    ]  # fmt: skip
    assert list(paper.FIG5_TRAIN) == [
        4.89, 3.04, 1.77, 1.48, 1.22, 0.91, 0.78, 0.70, 0.57, 0.49, 0.47, 0.44, 0.42, *[0.39] * 4, *[0.36] * 4
    ]  # fmt: skip
    assert paper.FIG5_TOLERANCE == 0.02


def test_the_markers_of_fig_6():
    by_size = zip(paper.FIG6_TRAIN_SIZES, paper.FIG6_TEST, paper.FIG6_TRAIN, strict=True)
    assert list(by_size) == [(15_000, 1.68, 0.05), (30_000, 1.14, 0.31), (60_000, 0.94, 0.35)]
    assert paper.FIG6_TEST_DISTORTED == 0.82
    assert paper.FIG6_TOLERANCE == 0.01


def test_experiments_of_the_headline():
    assert (paper.LENET5, paper.DIST_LENET5) == ("fig9/lenet5", "fig9/dist_lenet5")
    assert all(row.experiment == f"fig9/{row.name}" for row in paper.ROWS)
