"""GET /head/peerurl: what a head that wants to join must know beforehand. Public, so nothing of it is secret."""

from __future__ import annotations

from agent import __version__
from agent.api.answers import READS, Answers
from agent.api.call import Answer, Call
from agent.heads.introduction import PeerUrl

PEER_URL = Answers(data=PeerUrl, fails=READS)


async def peer_url(call: Call) -> Answer:
    """The peer URL, the cluster and the CA whose hash the joining head compares."""
    config, identity = call.rooms.live.config, call.rooms.identity()
    return Answer(
        {
            "peer_url": config.peer_url or call.rooms.engine_url() or identity.url,
            "uid": identity.uid,
            "cluster": call.rooms.members().cluster,
            "store": call.rooms.engine.kind,
            "version": __version__,
            "ca_pem": identity.ca_pem,
        }
    )
