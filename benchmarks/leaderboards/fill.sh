#!/usr/bin/env bash
# Every method on every track of two cores that it can do, in a clone of this repository.
#
#     bash benchmarks/leaderboards/fill.sh [METHOD…]
#
# Each run's entry holds its own command. One that is there already is replaced. What was measured is kept in runs/, so a
# killed run goes on where it was.
set -euo pipefail

floors=(random_init anchors anchor_average matched_average training_mean hyperparameters)
controls=(weight_density noise_10 noise_20 noise_40 noise_80 interpolation soup weight_gaussian pca_gaussian split_density)
readers=(flat_weights layer_statistics spectral_statistics pca statnn statnn-pooled neural_graph nfn probegen random_probes)
skills=(emergence_law measured_skills)
generators=(sane sane_diffusion weight_flow weight_flow-last weight_flow-around p_diff hyper_representation
    hyper_representation-released d2nwg d2nwg-unconditional d2nwg_lite)
mergers=(average regmean regmean-diagonal regmean-full regmean-matched regmean_plus regmean_plus-matched pleas fisher
    fisher-matched empirical_fisher greedy_soup task_arithmetic ties dare wudi repair repair-regmean_matched repair_pleas)
tracers=(random_parents weight_distance matched_distance layer_cosine layer_cosine-matched mother mother-matched phylogeny
    phylogeny-matched independence cka behaviour)
teachers=(kl xe_kl mcl data_partitioning data_partitioning-unsupervised continued_training self_distillation
    permuted_teacher)
growers=(scratch net2net net2net-exact net2net-uneven ligo mango mango-rank_2 aki stack interleave random_padding
    knowledge_inheritance)
plugged=(residual_value residual_value-norm_1 residual_value-fresh residual_value-several cascade_value proxy_tuning
    logit_ensemble value_alone zero_value)
attributors=(random_scores same_class pixel_similarity penultimate_similarity grad_dot grad_cos tracin gas trak-members_1
    trak-members_10 trak trak-members_200 influence_exact source empirical_influence datamodel_ridge datamodel_lasso)

[ $# -gt 0 ] || set -- "${floors[@]}" "${controls[@]}" "${readers[@]}" "${skills[@]}" "${generators[@]}" "${mergers[@]}" "${teachers[@]}" \
    "${growers[@]}" "${plugged[@]}" "${attributors[@]}" "${tracers[@]}"
for method in "$@"; do
    zoobench eval --method "$method" --track all
    for result in results/*/"$method"; do
        # Refused where a track ranks by τ and predictions are constant, as those of training_mean are, and where two
        # methods make the same, as `average` and `matched_average` of siblings that need no matching.
        zoobench submit "$result" --replace --authors "The zoobench authors" --licence MIT || echo "$result is left out"
    done
done
