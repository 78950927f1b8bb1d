"""A restored hub uses positions again: page tokens and entity tags of before are not valid."""

from support.hub import HubInProcess, indicator


def begin(hub: HubInProcess, epoch: str) -> None:
    """Start the hub again in another epoch, with the same content."""
    hub.store._base.clock.update_one({"_id": "hub"}, {"$set": {"epoch": epoch}})
    hub.__init__(hub.store, hub.clock, founded=True)  # type: ignore[misc]


def test_a_page_token_of_another_epoch_is_refused_like_a_forged_one(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"), indicator("two.top"))
    path = "collections/green/objects/?limit=1"
    token = hub.ask(path).json["next"]
    forged = hub.ask(f"{path}&next={'A' * len(token)}").json
    begin(hub, "second")
    old = hub.ask(f"{path}&next={token}")
    assert old.status_code == 400
    assert old.json["description"] == forged["description"]
    assert hub.ask(f"{path}&next={hub.ask(path).json['next']}").status_code == 200


def test_a_hub_that_starts_again_in_the_same_epoch_takes_its_tokens(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"), indicator("two.top"))
    path = "collections/green/objects/?limit=1"
    for epoch in ("", "second"):
        begin(hub, epoch)
        token = hub.ask(path).json["next"]
        begin(hub, epoch)
        assert hub.ask(f"{path}&next={token}").status_code == 200


def test_an_entity_tag_of_another_epoch_does_not_spare_the_page(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"))
    path = "collections/green/objects/"
    known = {"If-None-Match": hub.ask(path).headers["ETag"]}
    assert hub.ask(path, headers=known).status_code == 304
    begin(hub, "second")
    assert hub.ask(path, headers=known).status_code == 200
