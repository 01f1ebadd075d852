"""Records: one mechanism for the standard verbs, whatever the kind."""

from agent.records.references import references_of
from agent.records.spec import Spec
from agent.records.verbs import Records, put, until_settled

__all__ = ["Records", "Spec", "put", "references_of", "until_settled"]
