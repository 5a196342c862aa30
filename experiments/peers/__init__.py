r"""Ours beside what projects of this kind usually reach for, on the same data.

    tumorlens train experiments/recipes/clean.toml --set model=resnet_18 --data nickparvar.csv \
        --split clean --out runs/peers/clean-resnet_18 --name resnet_18
    python -m experiments.peers install --environments DIR
    python -m experiments.peers score --data nickparvar.csv --part test --runs runs/peers \
        --environments DIR

A recipe can name any of the networks of `tumorlens models`. `install` makes an environment
of its own for each of the two packages of this task that one can install today, for they are scored
as they come, and bring half a gigabyte of TensorFlow. `score` scores every run that there is, the
bundles given by `--bundle`, and the packages that are installed; it writes
experiments/records/peers.json, and the section of docs/measurements.md with it. With `--keep` rows
that are there already stay, so that networks can be added to the table one by one.

A bundle is scored on the split that it was trained on only. What the packages were trained on is
not all known: one was trained on the `Training` folder of the very set, patients of the `clean`
test included.
"""
