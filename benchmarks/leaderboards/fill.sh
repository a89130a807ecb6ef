#!/usr/bin/env bash
# SANE and all baselines on every track of two cores, in a clone of this repository: half an hour on two cores.
#
#     bash benchmarks/leaderboards/fill.sh
#
# Each run's entry holds its own command. One that is there already is replaced.
set -euo pipefail

enter() { # method, title, description, paper or nothing
    zoobench eval --method "$1" --track all
    for result in results/*/"$1"; do
        zoobench submit "$result" --replace --method "$2" --description "$3" ${4:+--paper "$4"} \
            --authors "The zoobench authors" --licence MIT
    done
}

enter random_init "Random initialization" "New models before any training."
enter anchors "The anchors themselves" "The five best training models of the target, as they are."
enter anchor_average "Average of the anchors" "One model: the mean of the anchors' weights." \
    https://arxiv.org/abs/2203.05482
enter matched_average "Matched average of the anchors" "The same after matching their units to those of the best." \
    https://arxiv.org/abs/2209.04836
enter weight_density "Kernel density over weights" \
    "A Gaussian kernel density over the anchors' weights after matching their units: draws, of which the best are kept."
enter flat_weights "Flat weights" "A linear probe on the weights themselves." https://arxiv.org/abs/2209.14764
enter layer_statistics "Layer statistics" "A linear probe on mean, variance and percentiles of each layer's weights." \
    https://arxiv.org/abs/2002.11448
enter spectral_statistics "Spectral statistics" "A linear probe on statistics of the singular values of each layer." \
    https://arxiv.org/abs/2002.06716
enter pca "Principal components" \
    "128 principal components of the flat weights, of each layout: a linear probe on the scores, or what these 128 numbers \
reconstruct."
enter sane "SANE" \
    "Sequential autoencoder of neural embeddings, with the masked loss normalization of MultiZoo-SANE; preset tiny, whose \
code is 128 numbers for each token: 6,144 for a cnn_s of 2,464 weights." \
    https://arxiv.org/abs/2504.10141
