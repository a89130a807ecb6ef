"""Methods to compare: SANE, its peers, baselines, and your own (`docs/your-method.md`)."""

from zoobench.methods.method import Cost as Cost
from zoobench.methods.method import Method as Method
from zoobench.methods.protocols import HERE as HERE
from zoobench.methods.protocols import Attributor as Attributor
from zoobench.methods.protocols import Embedder as Embedder
from zoobench.methods.protocols import Execution as Execution
from zoobench.methods.protocols import Extractor as Extractor
from zoobench.methods.protocols import Generator as Generator
from zoobench.methods.protocols import Grower as Grower
from zoobench.methods.protocols import Grown as Grown
from zoobench.methods.protocols import InapplicableError as InapplicableError
from zoobench.methods.protocols import LayerEmbedder as LayerEmbedder
from zoobench.methods.protocols import MembershipReader as MembershipReader
from zoobench.methods.protocols import Merger as Merger
from zoobench.methods.protocols import Predictor as Predictor
from zoobench.methods.protocols import Reconstructor as Reconstructor
from zoobench.methods.protocols import Samplable as Samplable
from zoobench.methods.protocols import TablePredictor as TablePredictor
from zoobench.methods.protocols import Tracer as Tracer
from zoobench.methods.protocols import Transferrer as Transferrer
from zoobench.methods.protocols import ValueLearner as ValueLearner
from zoobench.methods.protocols import ValueNetworks as ValueNetworks
from zoobench.methods.unlearned import Unlearned as Unlearned
from zoobench.methods.victims import Victims as Victims
from zoobench.populations.evidence import Access as Access
from zoobench.populations.evidence import Evidence as Evidence
