"""Every method on every track of two cores that it can do, in a clone of this repository.

    python benchmarks/leaderboards/fill.py [--methods METHOD…] [--tracks TRACK…]

An entry that is there already is replaced. What was measured is kept in runs/, so a killed run goes on where it was.
Each entry says the command that makes it alone. One process serves all: what judging trains or computes of a track's
own models is done once.
"""

from __future__ import annotations

import argparse

import zoobench as zb
from zoo_generation.errors import InputError
from zoobench.cli.console import shown_progress

METHODS = {
    "floors": "random_init anchors anchor_average matched_average training_mean hyperparameters",
    "controls": "weight_density noise_10 noise_20 noise_40 noise_80 interpolation soup weight_gaussian pca_gaussian "
    "split_density",
    "readers": "flat_weights layer_statistics spectral_statistics pca statnn statnn-pooled neural_graph nfn probegen "
    "random_probes",
    "skills": "emergence_law measured_skills",
    "generators": "sane sane_diffusion weight_flow weight_flow-last weight_flow-around p_diff hyper_representation "
    "hyper_representation-released d2nwg d2nwg-unconditional d2nwg_lite",
    "mergers": "average regmean regmean-diagonal regmean-full regmean-matched regmean_plus regmean_plus-matched pleas "
    "fisher fisher-matched empirical_fisher greedy_soup task_arithmetic ties dare wudi repair repair-regmean_matched "
    "repair_pleas",
    "teachers": "kl xe_kl mcl data_partitioning data_partitioning-unsupervised continued_training self_distillation "
    "permuted_teacher",
    "growers": "scratch net2net net2net-exact net2net-uneven ligo mango mango-rank_2 aki stack interleave "
    "random_padding knowledge_inheritance",
    "plugged": "residual_value residual_value-norm_1 residual_value-fresh residual_value-several cascade_value "
    "proxy_tuning logit_ensemble value_alone zero_value",
    "attributors": "random_scores same_class pixel_similarity penultimate_similarity grad_dot grad_cos tracin gas "
    "trak-members_1 trak-members_10 trak trak-sparse trak-members_200 influence_exact influence_ekfac source "
    "empirical_influence datamodel_ridge datamodel_lasso",
    "readers of membership": "random_membership loss_threshold confidence_threshold gradient_norm lira lira-offline",
    "tracers": "random_parents weight_distance matched_distance layer_cosine layer_cosine-matched mother "
    "mother-matched phylogeny phylogeny-matched independence cka behaviour",
    "extractors": "base_alone imitation imitation-slow last_layer",
}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [method for group in METHODS.values() for method in group.split()]
    parser.add_argument("--methods", nargs="+", default=every)
    parser.add_argument("--tracks", nargs="+", help="all of two cores if left out")
    given = parser.parse_args()
    workspace = zb.Workspace()
    with workspace.ray():
        for track in given.tracks or zb.list_tracks(scale="two-cores", workspace=workspace):
            for method in given.methods:
                fill(track, method, workspace)


def fill(track: str, method: str, workspace: zb.Workspace) -> None:
    """Measure a method on a track, and submit what it answered; say why, if that cannot be."""
    said = {"authors": ["The zoobench authors"], "licence": "MIT"}
    said["command"] = f"zoobench eval --method {method} --track {track}"
    try:
        with shown_progress() as progress:
            zb.run_track(method, track, workspace=workspace, progress=progress)
            # Refused where a track ranks by τ and predictions are constant, as those of training_mean are, and where
            # two methods make the same, as `average` and `matched_average` of siblings that need no matching.
            folder = workspace.results / track / method
            entry = zb.submit(folder, replace=True, workspace=workspace, progress=progress, **said)
    except (InputError, zb.FailedError) as error:
        print(f"{track}: {method} is left out: {error}", flush=True)
    else:
        print(f"{track}: {method} {entry.mean(zb.get_track(track, workspace=workspace).metric):.4f}", flush=True)


if __name__ == "__main__":
    main()
