"""Candidate ids: nobody without a secret key can make one, and one says nothing about the model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contract.ids import is_wire_id
from contract.signing import is_issued_for_actor, sign_candidate, signing_key, verify_candidate

KEY = signing_key("tw_sec_test")
ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)


def find(project: str, key_id: str) -> bytes | None:
    return KEY if key_id == "k1" else None


@given(project=ids, interaction=ids)
def test_a_signed_id_fits_the_wire_and_verifies_for_its_interaction(project: str, interaction: str) -> None:
    candidate = sign_candidate(KEY, "k1", project, interaction)
    assert is_wire_id(candidate) and candidate.startswith("tw1.k1.")
    assert verify_candidate(find, project, interaction, candidate, "u-1")


@given(project=ids, interaction=ids, other=ids)
def test_an_id_does_not_verify_for_another_interaction_or_project(project: str, interaction: str, other: str) -> None:
    candidate = sign_candidate(KEY, "k1", project, interaction)
    assert verify_candidate(find, project, other, candidate, "u-1") == (other == interaction)
    assert verify_candidate(find, other, interaction, candidate, "u-1") == (other == project)


@given(project=ids, interaction=ids, actor=ids, other=ids)
def test_an_id_issued_for_an_actor_verifies_for_nobody_else(
    project: str, interaction: str, actor: str, other: str
) -> None:
    candidate = sign_candidate(KEY, "k1", project, interaction, actor)
    assert is_wire_id(candidate) and is_issued_for_actor(candidate) and actor not in candidate.split(".")
    assert verify_candidate(find, project, interaction, candidate, actor)
    assert verify_candidate(find, project, interaction, candidate, other) == (other == actor)
    # Said to be issued for nobody, it is no id at all.
    assert not verify_candidate(find, project, interaction, "tw1" + candidate[3:], actor)


@given(project=ids, interaction=ids, actor=ids)
def test_an_id_issued_for_nobody_cannot_be_made_an_actor_s(project: str, interaction: str, actor: str) -> None:
    candidate = sign_candidate(KEY, "k1", project, interaction)
    assert not is_issued_for_actor(candidate)
    assert not verify_candidate(find, project, interaction, "tw2" + candidate[3:], actor)


@given(st.data())
def test_an_altered_id_does_not_verify(data: st.DataObject) -> None:
    candidate = sign_candidate(KEY, "k1", "shop", "i-1")
    place = data.draw(st.integers(0, len(candidate) - 1))
    other = data.draw(ids.filter(lambda text: text[0] != candidate[place]))[0]
    altered = candidate[:place] + other + candidate[place + 1 :]
    assert not verify_candidate(find, "shop", "i-1", altered, "u-1")


@given(st.text(max_size=60))
def test_any_other_text_does_not_verify_and_raises_nothing(text: str) -> None:
    assert not verify_candidate(find, "shop", "i-1", text, "u-1")
    assert not verify_candidate(find, "shop", "i-1", f"tw1.k1.random.{text}", "u-1")


def test_another_key_s_signature_does_not_verify() -> None:
    candidate = sign_candidate(signing_key("tw_sec_other"), "k1", "shop", "i-1")
    assert not verify_candidate(find, "shop", "i-1", candidate, "u-1")
    assert not verify_candidate(find, "shop", "i-1", sign_candidate(KEY, "k2", "shop", "i-1"), "u-1")


def test_the_format_is_the_one_sdks_rebuild() -> None:
    # Recorded once; a change would make every id that products hold invalid.
    assert signing_key("tw_sec_test").hex() == "da4cc6f98df66462bab7689227fc137e8e251f3ffa9eafdae972fdf6f16436e2"
    assert verify_candidate(find, "shop", "i-1", "tw1.k1.1FQFOI6PwwNC.IM9ZLcU2r1mAKU0o", "u-1")
    assert verify_candidate(find, "shop", "i-1", "tw2.k1.x7kLieHvMmjV.-G2_RAOzdI9ZDFu1", "agent-7")


def test_ids_of_one_interaction_differ() -> None:
    made = {sign_candidate(KEY, "k1", "shop", "i-1") for _ in range(200)}
    assert len(made) == 200
