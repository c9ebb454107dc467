"""The mutations made by hand: what a fault of trainer, packaging or gate would look like, and who has to notice.

Each is a change that leaves a system which runs, trains, decides and says that all is well.
"""

from __future__ import annotations

from tests.mutants.mutation import Mutation

BATCHES = ("tests/trainer/test_first_batches.py", "-k")
OF_DPO, OF_KTO, OF_SFT = ((*BATCHES, name) for name in ("dpo", "kto", "sft"))
HELD = ("tests/trainer/test_held_run.py",)
STEPS = ("tests/invariant",)
SCORES = ("tests/trainer/test_evaluate.py",)
ROWS = ("tests/trainer/test_rows_and_tokens.py",)
DATASETS = ("tests/processor/datasets",)
DPO, KTO, SFT = (f"trainer/objectives/{name}.py" for name in ("dpo", "kto", "sft"))
GUARDS, EVALUATE, RUN = "trainer/guarding/guards.py", "trainer/guarding/evaluate.py", "trainer/run.py"
READ = "trainer/rows.py"
SPREAD = 'lambda row: str(row["group"]), micro, rng)'
MACHINE = "disable_tqdm=True, **hardware.arguments(),"
ORDER = 'train_sampling_strategy="sequential", '
LONG = "if fitted.is_too_long(max_length) or not reply:"
CUT, UNCUT = "((row.completion, row.cut),)", "((row.completion, False),)"

PREFERENCES = (
    Mutation("dpo rows all weigh 1", DPO, 'row["weight"] / mean}', "1.0}", OF_DPO),
    Mutation("dpo weights are not brought to a mean of 1", DPO, 'row["weight"] / mean}', 'row["weight"]}', OF_DPO),
    Mutation("dpo collator forgets weights", DPO, 'float(example["weight"])', "1.0", OF_DPO),
    Mutation("dpo chosen cut flag ignored", DPO, "(pair.chosen, pair.chosen_cut)", "(pair.chosen, False)", OF_DPO),
    Mutation("dpo rejected cut flag ignored", DPO, "(pair.rejected, pair.rejected_cut)",
             "(pair.rejected, False)", OF_DPO),
    Mutation("dpo rows unshuffled", DPO, f"rows = spread(made.rows, {SPREAD}", "rows = made.rows", OF_DPO),
    Mutation("dpo two rows of a prompt in a batch", DPO, SPREAD, "id, micro, rng)", OF_DPO),
    Mutation("dpo order left to trl", DPO, ORDER, "", OF_DPO),
    Mutation("dpo machine left to trl", DPO, MACHINE, "disable_tqdm=True,", OF_DPO),
    Mutation("dpo continued from an adapter refers to the base", DPO,
             'adapter_name="ref" if "ref" in unwrapped.peft_config else None', "adapter_name=None", OF_DPO),
    Mutation("dpo refers to itself", DPO, "ref_logps = self._reference_logps(inputs)",
             "ref_logps = token_logps.detach().sum(dim=1)", OF_DPO),
    Mutation("dpo without a reference", DPO, "chosen, rejected = (logps - ref_logps).chunk(2)",
             "chosen, rejected = logps.chunk(2)", OF_DPO),
    Mutation("dpo prefers the rejected side", DPO, "self.beta * (chosen - rejected), nll",
             "self.beta * (rejected - chosen), nll", STEPS),
    Mutation("dpo imitates the rejected side", DPO, "nll = -token_logps.chunk(2)[0]", "nll = -token_logps.chunk(2)[1]",
             OF_DPO),
    Mutation("dpo learns prompts", DPO, 'inputs["completion_mask"] == 0', 'inputs["attention_mask"] == 0', OF_DPO),
    Mutation("dpo beta ignored", DPO, "beta=config.beta, ", "", STEPS),
    Mutation("dpo loss weights ignored", DPO, "loss_weights=list(config.loss_weights)",
             "loss_weights=[1.0] * len(config.loss)", STEPS),
    Mutation("dpo rate ignored", DPO, "learning_rate=config.lr, ", "", OF_DPO),
    Mutation("dpo batch not accumulated", DPO, "max(1, config.batch // micro)", "1", OF_DPO),
    Mutation("dpo long prompts kept", DPO, "else TOO_LONG if fitted.is_too_long(max_length)",
             "else TOO_LONG if False", OF_DPO),
    Mutation("dpo weightless rows kept", DPO, "if pair.weight <= 0", "if pair.weight < 0", OF_DPO),
    Mutation("dpo equal replies kept", DPO, "if chosen == rejected", "if False", OF_DPO),
    Mutation("dpo preference term unweighted", DPO, "(weight * -F.logsigmoid(margin))", "(-F.logsigmoid(margin))",
             OF_DPO),
    Mutation("dpo imitation term unweighted", DPO, "(weight * nll).sum() / (weight * tokens)",
             "nll.sum() / (tokens * 1.0)", OF_DPO),
    Mutation("dpo seed ignored", DPO, "random.Random(config.seed)", "random.Random(0)", STEPS),
)  # fmt: skip

THUMBS = (
    Mutation("kto rows unshuffled", KTO, "ordered = spread(rows,", "ordered = list(rows) or spread(rows,", OF_KTO),
    Mutation("kto labels not mixed", KTO, ', kind=lambda row: bool(row["label"]))', ")", OF_KTO),
    Mutation("kto balance ignored", KTO, "desirable_weight=desirable, undesirable_weight=undesirable, ", "", OF_KTO),
    Mutation("kto balance the other way", KTO, "desirable_weight=desirable, undesirable_weight=undesirable",
             "desirable_weight=undesirable, undesirable_weight=desirable", OF_KTO),
    Mutation("kto weights ignored", KTO, "drawn = sample_by_weight(rated, rng)", "drawn = list(rated)", OF_KTO),
    Mutation("kto cut flag ignored", KTO, CUT, UNCUT, OF_KTO),
    Mutation("kto long prompts kept", KTO, LONG, "if not reply:", OF_KTO),
    Mutation("kto divergence of its own reply", KTO, "block[i - 1]", "block[i]", OF_KTO),
    Mutation("kto two rows of a prompt in a batch", KTO, 'lambda row: str(row["group"]), batch', "id, batch", OF_KTO),
    Mutation("kto machine left to trl", KTO, MACHINE, "disable_tqdm=True,", OF_KTO),
    Mutation("kto continued from an adapter refers to the base", KTO, "    checkpoints.train(trainer)\n",
             '    "ref" in trainer.model.peft_config and trainer.model.delete_adapter("ref")\n'
             "    checkpoints.train(trainer)\n",
             OF_KTO),
    Mutation("kto refers to itself", KTO, "    checkpoints.train(trainer)\n",
             "    import contextlib\n\n    from trl.trainer import kto_trainer\n\n"
             "    kto_trainer.use_adapter = lambda *_, **__: contextlib.nullcontext()\n"
             "    checkpoints.train(trainer)\n", OF_KTO),
    Mutation("kto labels inverted", KTO, '"label": row.label', '"label": not row.label', OF_KTO),
    Mutation("kto beta ignored", KTO, "beta=config.beta, ", "", STEPS),
    Mutation("kto rate ignored", KTO, "learning_rate=config.lr, ", "", OF_KTO),
    Mutation("kto batch not accumulated", KTO, "max(1, config.batch // micro)", "1", OF_KTO),
    Mutation("kto batches of one", KTO, "micro = max(2, ", "micro = max(1, ", OF_KTO),
    Mutation("kto a last row alone kept", KTO, "ordered.pop()", "pass", ("tests/trainer/test_kto.py",)),
)  # fmt: skip

DEMONSTRATIONS = (
    Mutation("sft learns prompts", SFT, "[-100] * len(prompt) + reply", "prompt + reply", OF_SFT),
    Mutation("sft end token masked", SFT, "[-100] * len(prompt) + reply)",
             "[-100] * len(prompt) + reply[:-1] + [-100])", OF_SFT),
    Mutation("sft cut flag ignored", SFT, CUT, UNCUT, OF_SFT),
    Mutation("sft long prompts kept", SFT, LONG, "if not reply:", OF_SFT),
    Mutation("sft rows unshuffled", SFT, f"rows = spread(rows, {SPREAD}", "rows = list(rows)", OF_SFT),
    Mutation("sft two rows of a prompt in a batch", SFT, SPREAD, "id, micro, rng)", OF_SFT),
    Mutation("sft weights ignored", SFT, "drawn = sample_by_weight(demonstrations, rng)",
             "drawn = list(demonstrations)", OF_SFT),
    Mutation("sft order left to trl", SFT, ORDER, "", OF_SFT),
    Mutation("sft machine left to trl", SFT, MACHINE, "disable_tqdm=True,", OF_SFT),
    Mutation("sft rate ignored", SFT, "learning_rate=config.lr, ", "", OF_SFT),
    Mutation("sft epochs ignored", SFT, "num_train_epochs=config.epochs", "num_train_epochs=1", STEPS),
    Mutation("sft batch not accumulated", SFT, "max(1, config.batch // micro)", "1", OF_SFT),
)  # fmt: skip

READING = (
    Mutation("a pair's chosen cut flag not read", READ, 'bool(row.get("truncated_chosen") or False)',
             "False", OF_DPO),
    Mutation("a pair's rejected cut flag not read", READ, 'bool(row.get("truncated_rejected") or False)',
             "False", OF_DPO),
    Mutation("a thumb's cut flag not read", READ,
             'bool(row["label"]), _weight(row), bool(row.get("truncated") or False)',
             'bool(row["label"]), _weight(row)',
             OF_KTO),
    Mutation("a demonstration's cut flag not read", READ,
             '                _weight(row), bool(row.get("truncated") or False), _source(row),',
             "                _weight(row), False, _source(row),",
             OF_SFT),
    Mutation("weights not read", READ, "return 1.0 if weight is None else float(weight)", "return 1.0",
             OF_DPO),
    Mutation("nulls of messages kept", READ, " if part is not None}", "}", ROWS),
    Mutation("groups met in a block", READ, "fit = [b for b in candidates if group not in blocks[b].groups]",
             "fit = list(candidates)", ROWS),
    Mutation("a cut reply learns to end", "inference/tokens.py", "        if cut:\n", "        if False:\n", OF_SFT),
    Mutation("checkpointing left on", "inference/hardware.py", '"gradient_checkpointing": self.checkpointing',
             '"gradient_checkpointing": True', OF_SFT),
    Mutation("autocast left on", "inference/hardware.py", '"bf16": self.autocast_bf16', '"bf16": True', OF_SFT),
)  # fmt: skip

JUDGING = (
    Mutation("all guards pass", GUARDS, "return all(guard.passed is not False for guard in guards)", "return True",
             HELD),
    Mutation("passed is always true", RUN, '"passed": guards.all_passed(verdicts),', '"passed": True,', HELD),
    Mutation("a result always passes", RUN, '"passed": report["passed"],', '"passed": True,', HELD),
    Mutation("guards look at the base", RUN, "guards.SAMPLING, base=False)", "guards.SAMPLING, base=True)", HELD),
    Mutation("the base's replies are the adapter's", GUARDS,
             "    side = measure(model, encoder, frozen_prompts(), sampling, base=True)\n    cache",
             "    side = measure(model, encoder, frozen_prompts(), sampling, base=False)\n    cache",
             HELD),
    Mutation("the base's replies are the adapter's, uncached", GUARDS,
             "        return measure(model, encoder, frozen_prompts(), sampling, base=True)",
             "        return measure(model, encoder, frozen_prompts(), sampling, base=False)", HELD),
    Mutation("the adapter reads its own replies", GUARDS, "for i in judged], base=True)",
             "for i in judged], base=False)",
             HELD),
    Mutation("the base reads the frozen text", GUARDS, "for ids in rows], base=base)", "for ids in rows], base=True)",
             HELD),
    Mutation("held-out rows scored before training", RUN, "accuracy(after, before.likelihoods)",
             "accuracy(before.likelihoods, before.likelihoods)", HELD),
    Mutation("a saved adapter compared with itself", RUN, "evaluate.probe_logits(served, encoder))", "logits)", HELD),
    Mutation("an evaluated adapter is the base", "trainer/guarding/measure.py", "guards.SAMPLING, base=False)",
             "guards.SAMPLING, base=True)", ("tests/trainer/test_measure.py",)),
    Mutation("likelihoods always of the base", EVALUATE,
             "adapter_off(model, base):\n        for picked in _batches([min(",
             "adapter_off(model, True):\n        for picked in _batches([min(", HELD),
    Mutation("held-out cut flag ignored", EVALUATE, "[(row.completion, row.cut)]", "[(row.completion, False)]", SCORES),
    Mutation("held-out chosen cut flag ignored", EVALUATE, "(row.chosen, row.chosen_cut)",
             "(row.chosen, False)", SCORES),
    Mutation("held-out rejected cut flag ignored", EVALUATE,
             "(row.rejected, row.rejected_cut)", "(row.rejected, False)",
             SCORES),
    Mutation("a training that changed nothing goes on", RUN, "    if not changed:\n", "    if False:\n",
             ("tests/trainer/test_run.py",)),
    Mutation("an adapter that guards hold is tested on people", "trainer/loop/taking_in.py", 'if not result["passed"]:',
             "if False:", ("tests/trainer/test_schedule.py",)),
    Mutation("a continued adapter does not train", "trainer/tuning/lora.py", "is_trainable=True", "is_trainable=False",
             ("tests/trainer/test_dpo.py",)),
    Mutation("every adapter is saved", "trainer/tuning/lora.py", 'selected_adapters=["default"], ', "",
             ("tests/trainer/test_dpo.py",)),
)  # fmt: skip

PACKING = (
    Mutation("a dataset's pairs weigh 1", "processor/datasets/parquet.py",
             '"weight": row.weight_num / row.weight_den, "chosen_share"', '"weight": 1.0, "chosen_share"', DATASETS),
    Mutation("a dataset forgets cut chosen replies", "processor/datasets/parquet.py",
             '"truncated_chosen": row.truncated_chosen', '"truncated_chosen": False', DATASETS),
    Mutation("a dataset forgets cut rejected replies", "processor/datasets/parquet.py",
             '"truncated_rejected": row.truncated_rejected', '"truncated_rejected": False', DATASETS),
    Mutation("a dataset forgets cut rated replies", "processor/datasets/parquet.py",
             '"truncated": row.truncated_chosen', '"truncated": False', DATASETS),
    Mutation("rows of a running test train", "processor/datasets/rows.py", "if _test_runs(row, decided):", "if False:",
             DATASETS),
    Mutation("prompts that evaluate train", "processor/datasets/rows.py",
             "if row.prompt_hash in prompts or row.conversation_id in conversations:", "if False:", DATASETS),
    Mutation("replay is not limited", "processor/datasets/caps.py", "kept_replay = thin(replay, allowed, filters.salt)",
             "kept_replay = replay", DATASETS),
    Mutation("thinned picks keep their weights", "processor/datasets/caps.py",
             "row.weight_num, row.weight_den = 1, size", "pass", DATASETS),
    Mutation("close wording crosses splits", "processor/datasets/splits.py", " or close.has(row):", ":", DATASETS),
    Mutation("an AI's feedback trains", "processor/steps/rows.py", 'if copy.event.actor.kind == "ai":', "if False:",
             ("tests/processor/steps/test_votes_and_rows.py",)),
)  # fmt: skip

RULE = ("tests/trials/test_rule.py",)
VOTES = ("tests/trials/test_votes.py",)
DECIDING = (
    Mutation("an AI's picks count in a blind test", "processor/queries/ballots.py", " AND f.actor_kind <> 'ai'", "",
             ("tests/console/test_trials.py",)),
    Mutation("unverified picks count", "processor/queries/ballots.py", 'if not vote["verified"]:', "if False:",
             ("tests/console/test_trials.py",)),
    Mutation("picks on trained prompts count", "processor/queries/ballots.py",
             'return "trained_prompt" if groups & shown.groups else None', "return None",
             ("tests/console/test_trials.py",)),
    Mutation("unbalanced picks count", "processor/queries/ballots.py", "if not voting.balanced(", "if not callable(",
             ("tests/console/test_trials.py",)),
    Mutation("votes of the console change", "processor/queries/ballots.py", 'frozen = vote["via"] == "console"',
             "frozen = False", ("tests/console/test_trials.py", "tests/console/test_raters.py")),
    Mutation("a text both wrote is a win", "trials/votes.py", "if len(writers) > 1:", "if False:", VOTES),
    Mutation("each pick of a prompt counts", "trials/votes.py",
             "self._groups[pick.rater, pick.group][0][1] == pick.interaction_id", "True", VOTES),
    Mutation("unnamed raters count beside named ones", "trials/votes.py", "if len(raters) > 1 and UNNAMED in raters:",
             "if False:", VOTES),
    Mutation("a frozen vote changes", "trials/votes.py",
             "elif ballot.frozen and (ballot.retracts is not None or key in self._latest):", "elif False:", VOTES),
    Mutation("one rater decides alone", "trials/rule.py", "if 0 < tally.others < rule.min_others:", "if False:", RULE),
    Mutation("too few picks decide", "trials/rule.py", "if (n := tally.n) < rule.min_picks:", "if (n := tally.n) < 1:",
             RULE),
    Mutation("a small gain promotes", "trials/rule.py", "if (evidence.rate or 0.0) < rule.min_rate - _ROUNDING:",
             "if False:",
             RULE),
    Mutation("later challengers need no more", "trials/rule.py", "needed = math.log(rule.needed_e)",
             "needed = math.log(20)",
             RULE),
    Mutation("a test goes on for ever", "trials/trial.py", "until is not None and until <= now", "False", RULE),
)  # fmt: skip

MUTATIONS = (*PREFERENCES, *THUMBS, *DEMONSTRATIONS, *READING, *JUDGING, *PACKING, *DECIDING)
