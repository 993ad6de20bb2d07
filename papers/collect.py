"""Put the parts in papers/results/ together into papers/RESULTS.md, with one row for each system on top."""

from __future__ import annotations

from common import HERE, table

ORDER = [
    "toy",
    "wine",
    "power",
    "bsds",
    "scalar_maps",
    "sampling",
    "made",
    "made_mnist",
    "rnade",
    "mixtures",
    "any_order",
    "graphical",
    "digits",
    "pixels",
    "mixing",
    "labels",
    "mnist",
    "cifar",
    "faces",
    "discrete",
    "addition",
    "characters",
    "argmax",
    "compression",
    "iaf",
    "bnaf",
    "continuous",
    "spheres",
    "tori",
    "classes",
    "residual",
    "free_form",
    "injective",
    "lwta",
    "lwta_digits",
    "cif",
    "rad",
    "surjections",
    "gaps",
    "energies",
    "posteriors",
    "vae",
    "simulation",
    "inverse",
    "conditional_pictures",
    "tzk",
    "copulas",
    "ancestors",
    "deep_density",
]
SYSTEMS = [
    # system, part, start of its row, column, what it is, beside what
    ("nice-image", "digits", "NICE", 2, "digits 8 x 8, bits/dim, at most", "2.434, independent categorical; published on other images"),
    ("realnvp", "toy", "4 of four Gaussians", 3, "four Gaussians, NLL (far samples)", "1.8162, the entropy"),
    ("realnvp-image", "digits", "RealNVP", 2, "digits 8 x 8, bits/dim, at most", "2.207, categorical MADE; published on other images"),
    ("realnvp-image", "labels", "RealNVP", 3, "digits by class: samples that a classifier agrees with", "the label asked for"),
    ("glow", "digits", "Glow", 2, "digits 8 x 8, bits/dim, at most", "2.207, categorical MADE; published on other images"),
    ("glow", "mixing", "lu", 1, "digits, training bits/dim with 1 x 1 convolutions", "shuffle and reverse, in the table"),
    ("glow", "mnist", "pushforward", -2, "MNIST 8-bit bits/dim after equal steps", "normflows, in the table"),
    ("glow", "cifar", "Glow", 3, "CIFAR-10, 4000 pictures, bits/dim", "3.35, published, on all of it"),
    ("glow", "faces", "2", 1, "faces of 32 x 32: probability of a smile, moved along the attribute", "0.504 as they are"),
    ("nsf-image", "digits", "spline flow", 2, "digits 8 x 8, bits/dim, at most", "2.207, categorical MADE; published on other images"),
    ("flowpp", "digits", "Flow++", 2, "digits 8 x 8, bits/dim, at most", "its own version with uniform noise, in the table"),
    ("videoflow", "videoflow", "faces, VideoFlow", 1, "Frey faces as a video, NLL per frame, at most", "independent frames with the same flow, in the table"),
    ("videoflow", "videoflow", "blobs, VideoFlow", 1, "blobs that move by a known law, NLL per frame, at most", "independent frames with the same flow, in the table"),
    ("videoflow", "videoflow", "blobs, VideoFlow", 3, "blobs, entropy of the direction of drawn frames", "the true entropy, in the table"),
    ("tarflow", "digits", "TarFlow", 2, "digits 8 x 8, bits/dim, at most", "2.207, categorical MADE; published on other images"),
    ("tarflow", "tokens", "token by token", 1, "drawing 64 tokens one after another, in density passes", "64, without keeping keys and values"),
    ("jet", "digits", "Jet", 2, "digits 8 x 8, bits/dim, at most", "2.207, categorical MADE; published on other images"),
    ("pixelcnn", "pixels", "PixelCNN, gated", 2, "binary digits 8 x 8, NLL", "MADE, in the table"),
    ("pixelcnn", "pixels", "gated PixelCNN, softmax", 2, "digits 8 x 8, bits/dim", "2.207, categorical MADE; published on other images"),
    ("pixelcnn", "pixels", "PixelCNN++, mixture of logistics", 2, "digits 8 x 8, bits/dim, mixture of logistics", "2.207, categorical MADE; published on other images"),
    ("pixelcnn", "pixels", "given the label", 3, "digits by class: samples that a classifier agrees with", "the label asked for"),
    ("pixelcnn", "pixels", "gated convolutions", 1, "a pixel that depends on the blind spot of masked convolutions, nats", "0; 0.6931 for masked convolutions"),
    ("pixelcnn", "pixels", "gated convolutions, 100", 3, "drawing pictures of 28 x 28, in density passes", "784, without kept features"),
    ("pixelcnn", "pixels", "masked PixelCNN on MNIST", 3, "binary MNIST, 4 minutes of training, NLL", "81.30, published, far longer training"),
    ("pixelrnn", "pixels", "Row LSTM", 2, "binary digits 8 x 8, NLL", "PixelCNN and MADE, in the table"),
    ("pixelrnn", "pixels", "Diagonal BiLSTM", 2, "binary digits 8 x 8, NLL", "PixelCNN and MADE, in the table"),
    ("made", "made", "dna", 3, "dna, NLL, one mask", "83.63, published"),
    ("made", "made", "dna", 5, "dna, NLL, averaged over masks", "79.66, published"),
    ("made", "made", "mushrooms", 5, "mushrooms, NLL, averaged over masks", "9.69, published"),
    ("made", "made_mnist", "MADE", 2, "MNIST, bits drawn anew, NLL", "84.87, a public implementation, long training"),
    ("made", "mixtures", "MADE-MoG", 3, "BSDS300 patches, log-likelihood, mixtures as conditionals", "153.71, published, fully trained"),
    ("nade", "made", "dna", 7, "dna, NLL", "84.81, published"),
    ("nade", "made", "adult", 7, "adult, NLL", "13.19, published"),
    ("rnade", "rnade", "redwine", 2, "red wine, log-likelihood, published recipe", "-9.36, published, tuned on each fold"),
    ("rnade", "rnade", "redwine", 3, "red wine, log-likelihood, tuned", "-9.36, published, tuned on each fold"),
    ("maf", "mixtures", "MAF-MoG(5)", 3, "BSDS300 patches, log-likelihood, mixtures as base", "156.36, published, fully trained"),
    ("maf", "bsds", "MAF(5)", 2, "BSDS300 patches, log-likelihood", "155.69, published, fully trained"),
    ("iaf", "iaf", "IAF, 1 step", 1, "KL to a correlated Gaussian", "0, the optimum; 1.1970 for mean field"),
    ("bnaf", "bnaf", "8 Gaussians, BNAF", 2, "8 Gaussians, exact NLL", "2.8319, the entropy; no published number is known to us"),
    ("nsf", "toy", "4 of four Gaussians", 2, "four Gaussians, NLL (far samples)", "1.8162, the entropy"),
    ("nsf", "wine", "redwine", 3, "red wine, NLL", "9.36, RNADE, published"),
    ("nsf", "power", "pushforward, plain", 2, "POWER, first 26 days, log-likelihood", "0.7241, zuko, same work"),
    ("nsf", "bsds", "spline flow, coupling", 2, "BSDS300 patches, log-likelihood", "157.54, published, fully trained"),
    ("idf", "compression", "BSDS300", 4, "BSDS300 patches of 8 x 8, archive, bits/dim", "5.92, full-covariance Gaussian"),
    ("idf", "compression", "MNIST", 4, "MNIST, archive, bits/dim", "PNG, WebP, JPEG-XL and xz, in the table"),
    ("idf", "compression", "CIFAR-10", 4, "CIFAR-10, 3000 pictures, tiles, archive, bits/dim", "3.34, published, on all of it"),
    ("pixelcnn", "compression", "digits pixel by pixel", 4, "digits, archive, bits/dim", "other models and formats, in the table"),
    ("made", "compression", "binary MNIST", 4, "binary MNIST, 2,000 pictures, archive, bits/dim", "xz, in the table"),
    ("discrete", "discrete", "8 Gaussians", 3, "quantised 8 Gaussians, one layer of shifts, independent base, NLL", "6.7033, the optimum"),
    ("discrete", "addition", "4 digits, discrete flow, expected", 2, "addition of 4 digits, exact", "1.000, softmaxes of the same network"),
    ("discrete", "addition", "10 digits, discrete flow, expected", 2, "addition of 10 digits, exact", "1.000, softmaxes of the same network"),
    ("discrete", "characters", "autoregressive flow, ranks", 3, "Penn Treebank, bits per character, ranks on independent characters", "2.987, the limit of this LSTM; 1.38, published for a larger network"),
    ("otflow", "continuous", "OT-Flow", 2, "8 Gaussians, NLL", "2.8319, the entropy"),
    ("otflow", "continuous", "OT-Flow on POWER", 2, "POWER, first 26 days, NLL after 4 minutes", "-0.30 published, on all of it: not comparable"),
    ("ffjord", "continuous", "FFJORD", 2, "8 Gaussians, NLL", "2.8319, the entropy"),
    ("flow-matching", "continuous", "flow matching, OT-CFM", 2, "8 Gaussians, NLL", "2.8319, the entropy"),
    ("flow-matching", "continuous", "flow matching, OT-CFM", 5, "8 Gaussians, path energy over W2^2", "1, optimal transport"),
    ("torus", "tori", "three modes", 4, "three modes on the torus, effective sample size", "about 1, published"),
    ("torus", "tori", "autoregressive", 3, "torsion angles of isoleucine, NLL", ".526, von Mises kernel estimate"),
    ("flowgmm", "classes", "moons", 2, "two moons, 10 labels of 1,000, share of right labels", "label spreading, in the table"),
    ("flowgmm", "classes", "digits", 2, "digits, 50 labels of 1,200, share of right labels", "label spreading, in the table"),
    ("mixture-of-flows", "classes", "mixture of eight flows", 2, "eight modes from their energy, error of log Z", "-0.58, an affine flow of equal size"),
    ("sphere", "spheres", "S^2, recursive, Moebius", 2, "four modes on S^2, KL by reverse KL", ".05 published, .03 a public implementation"),
    ("sphere", "spheres", "recursive flow, 2 layers", 3, "places of fires, NLL per unit of area, on a mixture", "-1.24 to -1.86, published; 2.531, uniform"),
    ("exponential-map", "spheres", "S^2, EMP", 2, "four modes on S^2, KL of one polynomial map", ".50 published, .59 a public implementation"),
    ("riemannian-flow-matching", "spheres", "Riemannian flow matching", 3, "places of fires, NLL per unit of area", "-1.86, published, far longer training"),
    ("residual", "residual", "residual flow, roulette", 1, "8 Gaussians, NLL", "2.8319, the entropy"),
    ("residual", "gaps", "0.9", 4, "two modes at distance 1, constant 0.9: total variation", "the bound, in the table, is below"),
    ("lwta", "lwta", "four Gaussians, A", 2, "four Gaussians, competing couplings, NLL, 64 importance samples", "1.8162, the entropy; affine couplings in the table"),
    ("lwta", "lwta", "four Gaussians, B", 2, "four Gaussians, folds, exact NLL", "1.8162, the entropy; affine couplings in the table"),
    ("lwta", "lwta", "checkerboard, A, importance", 2, "checkerboard, competing couplings, NLL, 64 importance samples", "3.4657, the entropy; affine couplings in the table"),
    ("lwta", "lwta", "checkerboard, B", 2, "checkerboard, folds, exact NLL", "3.4657, the entropy; affine couplings in the table"),
    ("cif", "cif", "two uniforms, CIF", 2, "two uniforms, NLL, 64 importance samples", "1.3863, the entropy; affine couplings in the table"),
    ("rad", "rad", "nine Gaussians, RAD", 2, "nine Gaussians on a grid, exact NLL", "the entropy, in the table"),
    ("rad", "rad", "nine Gaussians, RAD", 3, "nine Gaussians, mutual information of codes and modes", "1, the same partition"),
    ("rad", "rad", "three modes, RAD", 2, "three modes on the line, exact NLL", "the entropy, in the table"),
    ("survae", "surjections", "exchangeable, sorted", 2, "four exchangeable numbers, exact NLL behind sorting", "the entropy, and the flow without sorting, in the table"),
    ("survae", "surjections", "mirrored, absolute value", 2, "a mirrored ring, exact NLL behind absolute values", "the entropy, and the flow without them, in the table"),
    ("planar", "energies", "U1", 4, "energy U1, KL with 32 layers (first implementation)", "0, the optimum"),
    ("planar", "vae", "planar", 2, "MNIST, 20,000 images, VAE with planar posterior, NLL", "the diagonal posterior, in the table; 87.5, published, on all of it"),
    ("sylvester", "vae", "sylvester", 2, "MNIST, 20,000 images, VAE with Sylvester posterior, NLL", "the diagonal posterior, in the table; 83.32, published bound, on all of it"),
    ("vae", "vae", "diagonal", 2, "MNIST, 20,000 images, VAE, NLL", "97.10, mean field, a public implementation, on all of it, fixed bits: as in the table of that setting"),
    ("nsf", "energies", "U3", 5, "energy U3, KL", "0, the optimum"),
    ("nsf", "posteriors", "eight_schools", 2, "eight schools, worst mean in reference deviations", "0, reference draws"),
    ("inn", "inverse", "robot arm, conditional flow", 1, "robot arm, median calibration error", "1 %, the aim; published on data that are not public"),
    ("inn", "inverse", "robot arm, INN", 1, "robot arm by discrepancies, median calibration error", "the conditional flow, in the table"),
    ("inn", "inverse", "eight modes, all, INN by likelihood", 2, "eight modes with labels: draws near the right modes", "99 %, the aim"),
    ("inn", "inverse", "eight modes, all, INN", 2, "eight modes with labels, by discrepancies: draws near the right modes", "99 %, the aim"),
    ("cinn", "conditional_pictures", "colours: one", 1, "colours of photographs given lightness, bits per number, at most", "a regression with full covariance, in the table"),
    ("conditional-image", "conditional_pictures", "larger digits: given, 16 draws", 1, "digits 8 x 8 given 4 x 4, bits/dim, at most", "alone, and independent logistic distributions, in the table"),
    ("conditional-image", "conditional_pictures", "halves: half-infinite, fixed", 1, "bits of half a digit given the other, at most", "noise in [0, 1), and MADE, in the table"),
    ("tzk", "tzk", "AUC of low", 1, "digits 0 to 4, existence, AUC", "1, perfect"),
    ("tzk", "tzk", "gain given low", 1, "digits 0 to 4, gain of the density given the type, nats", "0.68, where both factorisations agree"),
    ("graphical", "graphical", "learned", 1, "8 columns with 9 known edges, gap to the truth with a learned graph, nats", "0.684, the complete graph"),
    ("copula", "copulas", "Pareto and Clayton, copula, seed 0", 1, "Pareto marginals with a Clayton copula, gap to the truth", "the spline flow, in the table"),
    ("vine", "copulas", "five columns, parametric", 1, "a vine of five columns, gap to the truth", "0, the truth"),
    ("vine", "copulas", "five columns, kernel", 2, "the same with kernel copulas, largest error of Kendall's tau", "0, the truth; .02, the aim"),
    ("vine-autoencoder", "copulas", "mnist, seed 0", 3, "codes of MNIST, 5,000 pictures, held-out log-density", "Gaussian copula and independence, in the table"),
    ("vine-autoencoder", "copulas", "digits, seed 0", 3, "codes of digits, held-out log-density", "Gaussian copula and independence, in the table"),
    ("vae", "copulas", "seed 0", 3, "linear autoencoder, loss of a copula posterior", "the gap of independent variables, in the table"),
    ("npe", "simulation", "two_moons", 1, "two moons, C2ST at 10,000 simulations", "sbi's NPE, in the table"),
    ("any-order", "any_order", "any order, S = 16", 1, "red wine, NLL, 4 folds", "models with one order and the same budget, in the table"),
    ("any-order", "any_order", "mushrooms", 4, "mushrooms, NLL, 16 orders", "9.81, MADE, one order"),
    ("any-order", "any_order", "any order (FlowImputer)", 1, "red wine with gaps, RMSE of filled entries", "0.839, IterativeImputer"),
    ("tabak-turner", "ancestors", "eight Gaussians, Tabak and Turner, 400", 1, "eight Gaussians, NLL, no gradient training", "a cross-validated kernel estimate, in the table"),
    ("gaussianization", "ancestors", "eight Gaussians, Gaussianization, trained", 1, "eight Gaussians, NLL", "2.8319, the entropy; kernel estimate in the table"),
    ("cdf-network", "ancestors", "monotone, smooth", 5, "two Gaussians, 10,000 rows, L1 error of the density", "Parzen windows, in the table"),
    ("rippel-adams", "deep_density", "digits, three losses", 1, "nines of digits, a held-out nine over a six, AUC", "a Gaussian of logits, in the table; 0.95, the aim"),
    ("rippel-adams", "deep_density", "digits, three losses", 4, "nines of digits, over ones with a quarter replaced, AUC", "a Gaussian of logits, in the table; 0.99, the aim"),
    ("rippel-adams", "deep_density", "digits, likelihood", 1, "the same decoder by likelihood, nine over six, AUC", "the three losses, in the table"),
    ("naf", "scalar_maps", "NAF", 1, "8 Gaussians, NLL after 10 s (parameters, steps)", "2.8319, the entropy; zuko's, in the table"),
    ("umnn", "scalar_maps", "UMNN", 1, "8 Gaussians, NLL after 10 s (parameters, steps)", "2.8319, the entropy; zuko's, in the table"),
    ("sos", "scalar_maps", "SOS", 1, "8 Gaussians, NLL after 10 s (parameters, steps)", "2.8319, the entropy; zuko's, in the table"),
    ("bernstein", "scalar_maps", "Bernstein", 1, "8 Gaussians, NLL after 10 s (parameters, steps)", "2.8319, the entropy; zuko's, in the table"),
    ("bent", "scalar_maps", "Bent, sinh", 1, "8 Gaussians, NLL after 10 s (parameters, steps)", "2.8319, the entropy; splines, in the table"),
    ("free-form", "free_form", "surrogate", 1, "8 Gaussians, approximate NLL (mass of the density 1.0000)", "2.8319, the entropy"),
    ("injective", "injective", "plane", 1, "a plane with noise, NLL of projections (difference of a row, in the table)", "the exact number, in the table"),
    ("injective", "injective", "curve", 1, "a curve, NLL along it (difference of a row, in the table)", "the exact number, in the table"),
    ("mlp-density", "toy", "4 of four Gaussians", 4, "four Gaussians, NLL (far samples)", "1.8162, the entropy"),
]  # fmt: skip


def cell(part: str, start: str, column: int) -> str:
    """One cell of a part's table, of the row of that name or, without one, the first that starts with it."""
    lines = (HERE / "results" / f"{part}.md").read_text().splitlines()
    rows = [[text.strip() for text in line.strip("| ").split(" | ")] for line in lines if line.startswith("| ")]
    for fits in (str.__eq__, str.startswith):
        for cells in rows:
            if fits(cells[0], start):
                return cells[column].replace("**", "")
    raise SystemExit(f"papers/results/{part}.md has no row that starts with {start!r}")


def main() -> None:
    """Write RESULTS.md."""
    head = (
        "# Results\n\nWhat each reproduction reached, beside the published number, with the command that prints it. Likelihoods "
        "in nats unless a table says otherwise. Written by `python papers/collect.py` from `papers/results/`, where each part's "
        "command and machine are.\n\n"
    )
    rows = [
        [f"`{system}`", what, cell(part, start, column), beside, f"`papers/{part}.py`"]
        for system, part, start, column, what, beside in SYSTEMS
    ]
    parts = [(HERE / "results" / f"{name}.md").read_text() for name in ORDER]
    summary = table(["system", "experiment", "reached", "beside", "command"], rows)
    (HERE / "RESULTS.md").write_text(head + summary + "\n\n" + "\n".join(parts))


if __name__ == "__main__":
    main()
