"""The loss landscape around the models of a zoo: what is measured of it, its phases, and maps of both.

Sources: Yang et al., Taxonomizing local versus global structure in neural network loss landscapes, arXiv 2107.11228;
Schürholt et al., A Model Zoo on Phase Transitions in Neural Networks, arXiv 2504.18072.

A **cell** holds the models that differ in their seeds alone, at one epoch. What is measured of single checkpoints
differs within it; what is measured of pairs is the mean over the cell's pairs, and stands with each of its models.
"""
