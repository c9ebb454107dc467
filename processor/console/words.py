"""Codes of the tables in the reader's language, and the one-line reading of each chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import LazyString, format_percent, gettext, lazy_gettext, ngettext

_ = lazy_gettext

WORDS: dict[str, LazyString | str] = {
    # feedback types
    "interaction": _("interaction"), "thumb": _("thumb"), "choice": _("choice"), "pick": _("pick"),
    "edit": _("edit"), "retract": _("undo"), "annotation": _("annotation"), "judgement": _("AI judgement"),
    "own": _("own reply"), "import": _("import"),
    # values and outcomes
    "up": _("thumb up"), "down": _("thumb down"), "chosen": _("chosen"), "tie": _("tie"), "none": _("none is good"),
    # states of feedback
    "vote": _("counts"), "superseded": _("replaced by a later vote"), "retracted": _("taken back"),
    "unmatched": _("names nothing shown"), "untrusted": _("not trusted"), "applied": _("undo in force"),
    "over_limit": _("over the limit"),
    "review": _("review"), "adjudication": _("adjudication"), "note": _("note"),
    # labels
    "label_bool": _("yes or no"), "label_choice": _("one of several"), "label_multi": _("any of several"),
    "label_rating": _("rating"), "label_text": _("text"), "label_pairwise": _("which is better"),
    "label_ranking": _("order from best to worst"), "label_span": _("marked passages"),
    "label_correction": _("a better reply"), "scope_interaction": _("the whole interaction"),
    "scope_candidate": _("each reply"), "scope_pair": _("two replies"), "scope_span": _("a passage"),
    "language_zh": _("Chinese"), "language_other": _("other languages"), "rows_pairs": _("pairs that train"),
    "rows_demonstrations": _("demonstrations that train"), "rows_unpaired": _("thumbs that train"),
    "crowd": _("crowd worker"), "row_pair": _("pair"), "row_demonstration": _("demonstration"),
    "row_unpaired": _("thumb on one reply"), "verdict_accept": _("accepted"), "verdict_fix": _("mended"),
    "verdict_reject": _("sent back"), "verdict_adjudication": _("settled"),
    "return_same": _("whoever answered it"), "return_other": _("somebody else"), "return_none": _("nobody"),
    # what is answered beside labels
    "@preference": _("which is better"), "@ranking": _("order from best to worst"), "@rating": _("rating"),
    "@spans": _("marked passages"), "@correction": _("a better reply"), "@skipped": _("skipped"),
    "@thumb": _("thumb"),
    # figures about answers
    "unmeasured_kind": _("Texts, orders and marked passages have no figure here: compare them by eye."),
    "unmeasured_no_answers": _("Nobody has answered it yet."),
    "unmeasured_too_many_values": _("It has too many different answers to compare."),
    "flag_below_chance": _("right less often than guessing"), "flag_at_chance": _("no more right than guessing"),
    "flag_same_choice": _("gives one answer nearly always"),
    "flag_same_place": _("picks what stands at one place nearly always"),
    "flag_copies": _("say the same more often than explained"),
    # tasks and their items
    "task_open": _("open"), "task_paused": _("paused"), "task_closed": _("closed"),
    "item_open": _("open"), "item_returned": _("returned"), "item_disputed": _("people disagree"),
    "item_in_review": _("in review"), "item_in_batch": _("waits for a spot check"), "item_settled": _("settled"),
    "item_unanswerable": _("unanswerable"), "unit_interaction": _("the whole interaction"),
    "unit_candidate": _("each reply"), "unit_pair": _("each pair of replies"), "unit_all": _("all of these"),
    "order_fixed": _("as they entered"), "order_random": _("at random"), "order_oldest": _("oldest first"),
    "order_disagreement": _("where people disagree first"), "stage_answer": _("answers"),
    "stage_review": _("review"), "stage_batch": _("spot check"),
    "why_below_agreement": _("People agree too little: somebody of the next tier decides."),
    "why_nobody_left": _("Nobody who is named for it is left: name more people, or decide it."),
    "why_no_reviewer": _("Every reviewer who is named answered it: name another."),
    "why_skipped": _("So many people skipped it that it counts as unanswerable."),
    "why_dropped": _("A reviewer rejected it, and it was not to be answered again."),
    "not_allowed": _("not allowed under a public key"),
    # surfaces, actors, ways in
    "chat": _("chat"), "workbench": _("workbench"), "user": _("user"), "agent": _("agent"), "expert": _("expert"),
    "ai": _("AI"), "system": _("system"), "public": _("public key"), "secret": _("secret key"),
    "gateway": _("gateway"), "console": _("console"), "trainer": _("trainer"), "cli": _("command line"),
    # why a row does not train
    "truncated_prompt": _("prompt was shortened"), "tools": _("uses tools"), "not_text": _("more than text"),
    "no_prompt": _("no prompt"), "truncated": _("cut before its end"), "ai_feedback": _("an AI’s feedback"),
    "empty_reply": _("empty reply"), "truncated_reply": _("repeats a cut reply"), "kind": _("another kind of row"),
    "refused_in_review": _("a reviewer sent it back"),
    "outvoted": _("others judged otherwise"), "agreeing": _("others judged the same, and one row trains"),
    "tied": _("as many judged otherwise"),
    "label_not_included": _("label not asked for"), "label_excluded": _("label left out"),
    "test_running": _("its blind test is undecided"), "before_since": _("received too early"),
    "evaluation_prompt": _("prompt kept for evaluation"), "over_max_rows": _("over the number of rows asked for"),
    "over_replay_share": _("over the share of replay"), "near_train": _("close to a row that trains"),
    "near_validation": _("close to a row that validates"),
    # why a run leaves a row out
    "refused_by_template": _("refused by the model’s chat template"), "prompt_too_long": _("prompt too long"),
    "same_reply": _("both replies are the same"), "no_weight": _("weighs nothing"),
    "over_other_kinds": _("more than the other kinds together bear"),
    "over_other_sources": _("more than the other sources together bear"),
    "drawn_by_weight": _("left out by the draw that stands for its weight"),
    "prompt_shortened": _("prompt without its oldest turns"),
    "alone_in_its_batch": _("alone in its batch"),
    # bands and decisions of a blind test
    "not_enough_data": _("not enough data"), "no_progress": _("no progress"), "harmful": _("harmful"),
    "weak": _("weak"), "success": _("success"), "large_gain": _("large gain"), "running": _("running"),
    "promote": _("promote"), "reject": _("reject"), "before_registration": _("before the test began"),
    "after_end": _("after the test ended"), "not_counted": _("not a counted trial"), "unverified": _("not verified"),
    "unbalanced": _("unequal numbers of replies"), "unknown_training_set": _("training set unknown"),
    "trained_prompt": _("prompt was trained on"), "other_settings": _("other sampling settings"),
    "other_labels": _("not of the labels tested"), "repeated_prompt": _("a prompt this rater had already"),
    "unnamed": _("issued for nobody, once named raters count"), "frozen": _("changed where the counts are seen"),
    # adapters and runs
    "base": _("base model"), "registered": _("registered"), "challenger": _("challenger"), "held": _("held"),
    "rejected": _("rejected"), "promoted": _("promoted"), "rolled_back": _("rolled back"),
    "champion": _("champion"), "replaced": _("replaced"),
    "refused": _("wish refused"), "finished": _("finished"), "failed": _("failed"),
    # why a request was refused
    "origin_not_allowed": _("origin not among those of the key"), "invalid_key": _("key missing, unknown or revoked"),
    "invalid_body": _("body not as it should be"), "too_large": _("too large"),
    "unsupported_type": _("neither JSON nor text"), "rate_limited": _("too many at a time"),
    # campaigns
    "campaign_open": _("open"), "campaign_paused": _("paused"), "campaign_waiting": _("not begun"),
    "campaign_ended": _("ended"), "campaign_full": _("enough answers"),
    # datasets
    "preference": _("preference pairs"), "unpaired": _("single replies with a thumb"),
    "demonstration": _("demonstrations"), "train": _("train"), "validation": _("validation"), "test": _("test"),
    "description": _("another description"), "event": _("another content"),
    # what a run trains with; DPO, KTO and SFT are names
    "on": _("on"), "off": _("off"),
    "dpo": "DPO", "kto": "KTO", "sft": "SFT", "auto": _("as the data allow"), "lora": "LoRA",
    # guest links
    "link_open": _("open"), "link_expired": _("expired"), "link_revoked": _("revoked"),
    "tuning_lora": "LoRA", "tuning_rslora": "rsLoRA", "tuning_dora": "DoRA",
    "tuning_qlora8": _("LoRA, base in 8 bits"), "tuning_qlora4": _("LoRA, base in 4 bits"),
    "tuning_full": _("all weights"), "tuning_frozen": _("all weights but frozen parts"),
    "tuning_progressive": _("progressive unfreezing"), "tuning_prompt": _("prompt tuning"),
    "tuning_p-tuning": _("P-tuning"), "tuning_prefix": _("prefix tuning"),
    # how what was tuned is served
    "served_together": _("served in one batch with its base"), "served_own": _("served as a model of its own"),
    # wishes, people, roles of messages
    "roll_back": _("roll back"), "admin": _("admin"), "reviewer": _("reviewer"), "viewer": _("viewer"),
    "manager": _("manager"), "annotator": _("annotator"),
    "assistant": _("assistant"), "tool": _("tool"), "developer": _("developer"), "role": _("role"),
    # reasons that our elements offer beside a thumb
    "helpful": _("helpful"), "accurate": _("accurate"), "clear": _("clear"), "incorrect": _("incorrect"),
    "unhelpful": _("unhelpful"), "incomplete": _("incomplete"), "too_long": _("too long"), "tone": _("tone"),
    "unsafe": _("unsafe"),
    # why an event was rejected
    "invalid_event": _("not a valid event"), "invalid_json": _("not JSON"), "too_deep": _("nested too deeply"),
    "unknown_type": _("unknown type"), "unstorable_number": _("number too long"),
    "unstorable_text": _("text not well formed"), "actor_rate_limited": _("one actor sent too much"),
    "type_not_allowed": _("type not allowed for the key"), "client_dropped": _("given up by an SDK"),
    "not_stamped": _("not stamped"), "internal_error": _("the collector failed"),
    # why an SDK gave one up
    "storage_full": _("no room to keep it"), "queue_full": _("queue full"), "expired": _("waited too long"),
    "consent": _("no consent"), "closed": _("the client was shut down"), "secret_key": _("secret key in a page"),
    "needs_secret_key": _("needs a secret key"), "before_send": _("dropped by beforeSend"), "actor": _("no actor"),
    "other": _("other"),
}  # fmt: skip

NAMES: dict[str, LazyString | str] = {
    "loss": _("loss"), "grad_norm": _("length of the gradient"), "learning_rate": _("learning rate"),
    "epoch": _("passes over the rows"), "rewards/accuracies": _("pairs ordered as people did"),
    "rewards/margins": _("margin of chosen over rejected"), "rewards/chosen": _("reward of chosen replies"),
    "rewards/rejected": _("reward of rejected replies"), "logps/chosen": _("log-probability of chosen replies"),
    "logps/rejected": _("log-probability of rejected replies"), "nll": _("negative log-likelihood"),
    "kl": _("KL divergence"), "entropy": _("entropy"), "mean_token_accuracy": _("tokens foreseen"),
    "num_tokens": _("tokens read"), "seconds": _("seconds"), "loss_first": _("loss at first"),
    "loss_last": _("loss at last"), "train_accuracy_last": _("training pairs ordered as people did"),
    "heldout_accuracy": _("held-out comparisons ordered as people did"), "length_ratio": _("length against the base"),
    "perplexity_ratio": _("perplexity against the base"), "guards": _("guards"), "support": _("blind test"),
    "guards_failed": _("guards that failed"), "right": _("right"), "total": _("in all"), "rate": _("share"),
    # what a run ran with
    "ran": _("ran with"), "tuning": _("tuning"), "base": _("base model"), "start": _("started from"),
    "dtype": _("form of the weights"), "device": _("device"),
    # settings of a run
    "method": _("method"), "lr": _("highest learning rate"), "batch": _("batch"), "epochs": _("epochs"),
    "beta": _("beta"), "rank": _("rank"),
    "thinking": _("thinking before a reply"), "enable_thinking": _("thinking before a reply"),
    "chat_template_kwargs": _("told to the chat template"),
    "alpha": _("alpha"), "max_length": _("most tokens of a row"),
    "micro_batch": _("rows in memory at a time"), "balance": _("balance of kinds and sources"),
    # guards
    "reply_nll": _("surprise of the base at its replies"), "perplexity": _("perplexity on other text"),
    "repeats": _("repetition"), "ends": _("replies that end by themselves"), "topic": _("stays on topic"),
    "likeness": _("words shared with the prompt"), "length": _("length"), "language": _("language of the prompt"),
    "not_empty": _("empty replies"), "held_out": _("held-out comparisons"), "not_a_no_op": _("training did something"),
    "loads": _("saved copy is the trained model"),
    # filters of a dataset
    "kinds": _("kinds"), "since": _("received since"), "include_labels": _("only labels"),
    "exclude_labels": _("without labels"), "policy": _("for training from"), "max_rows": _("at most rows"),
    "replay_share": _("share of replay"), "split": _("shares of the splits"), "salt": _("salt"),
    "parent": _("training set before"),
    # how a reply was drawn
    "temperature": _("temperature"), "top_p": _("top-p"), "max_tokens": _("most tokens"), "seed": _("seed"),
    # fields of a campaign
    "name": _("name"), "surface": _("surface"), "label": _("label"), "scenario": _("scenario"),
    "question": _("question"), "quota": _("answers wanted"), "cooldown_s": _("pause"), "cooldown_h": _("pause"),
    "starts_at": _("first day"), "ends_at": _("last day"),
    "task_id": _("task"), "query": _("query"), "until": _("before day"), "order": _("order"), "stages": _("stages"),
    "items": _("items"), "labels": _("labels"), "unit": _("part that is asked about"),
    "k": _("answers an item"), "path": _("path"),
    "choices": _("choices"), "scope": _("asked of"), "min": _("lowest rating"),
    "max": _("highest rating"), "step": _("step"), "to": _("new path"), "moved_to": _("new path"),
    "version": _("version"), "kind": _("kind of answer"), "event_id": _("definition"),
    "frequency_penalty": _("frequency penalty"), "presence_penalty": _("presence penalty"), "stop": _("stops at"),
}  # fmt: skip


def word(code: object) -> str:
    """Return a code in the reader's language, unknown codes as they are."""
    text = str(code or "")
    return str(WORDS[text]) if text in WORDS else text.replace("_", " ")


def name_of(field: object) -> str:
    """Return the name of a metric, guard, filter or setting in the reader's language, an unknown one as it is."""
    text = str(field or "")
    if text in NAMES:
        return str(NAMES[text])
    if text.removeprefix("eval_") in NAMES:
        return str(gettext("%(metric)s, validation", metric=NAMES[text.removeprefix("eval_")]))
    return text.replace("_", " ")


def describe(config: str) -> str:
    """Return what a row of a dataset's configuration is."""
    return str(_CONFIGS.get(config, config))


def guard_reading(guards: Sequence[Mapping[str, Any]]) -> str:
    """Return the one sentence that says how the guards judged."""
    failed = [guard for guard in guards if guard.get("passed") is False]
    if failed:
        names = gettext(", ").join(name_of(guard["name"]) for guard in failed)
        return str(gettext("Held back by: %(guards)s.", guards=names))
    return str(ngettext("%(num)s guard, none failed.", "%(num)s guards, none failed.", len(guards)))


def shortcut_reading(key: str, found: Mapping[str, Any]) -> str:
    """Return how well a rule that reads no reply tells the chosen side; `key` is model or length."""
    wrote = key == "model"
    if found["accuracy"] is None:
        return str(
            gettext("No pair differs in which model wrote it.") if wrote else gettext("No pair differs in length.")
        )
    given = {"share": percent(found["accuracy"]), "rows": found["rows"]}
    if wrote:
        return str(gettext("Which model wrote it tells the chosen side in %(share)s of %(rows)s pairs.", **given))
    return str(gettext("Its length tells the chosen side in %(share)s of %(rows)s pairs.", **given))


def reading_of(chart: str, figures: Any) -> str:
    """Return the one sentence that says what a chart shows."""
    return str(_READINGS[chart](figures))


def _volume(found: dict[str, Any]) -> Any:
    series = found["volume"]
    if not series:
        return gettext("Nothing has arrived yet.")
    busiest = max(series, key=lambda row: row["interactions"] + row["feedback"])
    return gettext(
        "%(interactions)s interactions and %(feedback)s feedback events so far; at most %(most)s in one bar.",
        interactions=found["interactions"], feedback=found["feedback"],
        most=busiest["interactions"] + busiest["feedback"],
    )  # fmt: skip


def _approval(found: dict[str, Any]) -> Any:
    if not found["n"]:
        return gettext("No thumbs yet.")
    low, high = found["interval"]
    return gettext(
        "%(rate)s of %(n)s thumbs are up; the true share lies between %(low)s and %(high)s (95%%).",
        rate=percent(found["rate"]), n=found["n"], low=percent(low), high=percent(high),
    )  # fmt: skip


def _pairs(found: dict[str, Any]) -> Any:
    return ngettext(
        "%(num)s pair can be trained on, of %(total)s derived.",
        "%(num)s pairs can be trained on, of %(total)s derived.",
        found["trainable"], total=found["total"],
    )  # fmt: skip


def _support(found: dict[str, Any] | None) -> Any:
    if found is None:
        return gettext("No adapter has been tested against its baseline yet.")
    if not found["n"]:
        return gettext(
            "The test of %(adapter)s has no decisive pick yet; it needs about %(picks)s of them.",
            adapter=found["challenger"], picks=found["needed"]["picks"],
        )  # fmt: skip
    if found["concealed"]:
        return gettext(
            "The test of %(adapter)s runs: %(n)s decisive picks so far. How it stands is shown once it is decided.",
            adapter=found["challenger"], n=found["n"],
        )  # fmt: skip
    low, high = found["interval"]
    return gettext(
        "%(adapter)s wins %(wins)s of %(n)s decisive picks (%(low)s to %(high)s at any moment): %(band)s.",
        adapter=found["challenger"], wins=found["wins"], n=found["n"], low=percent(low), high=percent(high),
        band=word(found["band"]),
    )  # fmt: skip


def _rejected(found: dict[str, int]) -> Any:
    total = sum(found.values())
    if not total:
        return gettext("No event was rejected.")
    code, most = max(found.items(), key=lambda item: item[1])
    return gettext(
        "%(total)s rejected; the most frequent reason is “%(code)s” (%(most)s).",
        total=total, code=word(code), most=most,
    )  # fmt: skip


def _curve(run: dict[str, Any]) -> Any:
    losses = [row["loss"] for row in run["series"] if "loss" in row]
    if not losses:
        return gettext("No metrics have been reported yet.")
    return gettext(
        "Loss went from %(first)s to %(last)s over %(steps)s steps.",
        first=f"{losses[0]:.4g}", last=f"{losses[-1]:.4g}", steps=run["series"][-1]["step"],
    )  # fmt: skip


def percent(value: float) -> str:
    """Return 0.831 as "83%"."""
    return str(format_percent(value, "#,##0%"))


_CONFIGS: dict[str, LazyString] = {
    "preference": _("one chosen and one rejected reply"), "unpaired": _("one reply with a thumb up or down"),
    "demonstration": _("one reply a person wrote or corrected"),
}  # fmt: skip
_READINGS = {
    "volume": _volume, "approval": _approval, "pairs": _pairs, "support": _support, "rejected": _rejected,
    "curve": _curve,
}  # fmt: skip
