"""DPO on preference pairs: TRL's DPOTrainer with an SFT term, and a weight per row.

In: pairs (prompt, chosen, rejected, weight), a base model, optionally the adapter to continue. Out: the trained model,
metrics in `metrics.jsonl` while it trains. The loss per row is Rafailov et al. 2023 (2305.18290), equation 7; the SFT
term is the mean negative log-likelihood of the chosen tokens, as in Iterative RPO (2404.19733).

Why an SFT term by default: SmolLM2-135M at lr 5e-4 with the sigmoid loss alone wins the preference and loses the
language.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import is_peft_model
from datasets import Dataset
from transformers import PrinterCallback
from trl import DPOConfig, DPOTrainer
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head, use_adapter

from contract.errors import ThumbwheelError
from inference.hardware import Hardware
from inference.messages import TemplateRefusal
from inference.tokens import Encoder
from trainer import checkpoints
from trainer.fitting import SHORTENED, TOO_LONG, fit, hint
from trainer.objectives.reference import check_same
from trainer.progress import MetricsFile, logging_steps
from trainer.rows import REFUSED, NothingLeft, Pair, counted, spread
from trainer.tuning.shape import Prepared

LOSSES = ("sigmoid", "sft")


@dataclass(frozen=True)
class PreferenceConfig:
    """Settings of a DPO run. `batch` is the effective batch in pairs; `lr` the peak rate, falling linearly to 0."""

    lr: float = 5e-4
    batch: int = 8
    micro_batch: int = 0
    epochs: float = 1.0
    beta: float = 0.1
    loss: tuple[str, ...] = ("sigmoid", "sft")
    loss_weights: tuple[float, ...] = (1.0, 1.0)
    max_length: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a loss this trainer does not weight row by row."""
        unknown = [name for name in self.loss if name not in LOSSES]
        if unknown or len(self.loss) != len(self.loss_weights):
            raise ThumbwheelError(
                "bad_setting", f"loss={list(self.loss)} with loss_weights={list(self.loss_weights)} cannot be used.",
                f"Use some of {', '.join(LOSSES)}, one weight each.", "loss",
            )  # fmt: skip


@dataclass(frozen=True)
class TokenisedPairs:
    """Tokenised rows, and how many were left out and why."""

    rows: list[dict[str, Any]]
    dropped: Mapping[str, int]


def tokenise(pairs: Sequence[Pair], encoder: Encoder, max_length: int) -> TokenisedPairs:
    """Return rows of prompt_ids, chosen_ids, rejected_ids and weight; rows that could teach nothing are counted.

    TRL drops rows whose prompt fills `max_length` without a word; here a long prompt loses its oldest turns, and a row
    whose newest turn alone is too long is counted as `prompt_too_long`.
    """
    rows: list[dict[str, Any]] = []
    dropped = {TOO_LONG: 0, SHORTENED: 0, "empty_reply": 0, "no_weight": 0, "same_reply": 0, REFUSED: 0}
    for pair in pairs:
        try:
            sides = ((pair.chosen, pair.chosen_cut), (pair.rejected, pair.rejected_cut))
            fitted = fit(encoder, pair.prompt, sides, max_length)
        except TemplateRefusal:
            dropped[REFUSED] += 1
            continue
        prompt, (chosen, rejected) = fitted.prompt, fitted.replies
        reason = (
            "no_weight" if pair.weight <= 0
            else TOO_LONG if fitted.is_too_long(max_length)
            else "empty_reply" if not chosen or not rejected
            else "same_reply" if chosen == rejected
            else None
        )  # fmt: skip
        if reason:
            dropped[reason] += 1
            continue
        dropped[SHORTENED] += fitted.shortened
        rows.append({
            "prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected, "weight": pair.weight,
            "group": pair.group,
        })  # fmt: skip
    return TokenisedPairs(rows, counted(dropped))


class WeightedCollator(DataCollatorForPreference):  # type: ignore[misc]
    """TRL's collator, with the rows' weights beside the token ids."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return TRL's batch and `weight` (rows,)."""
        batch: dict[str, Any] = super().torch_call(examples)
        batch["weight"] = torch.tensor([float(example["weight"]) for example in examples])
        return batch


class WeightedDPOTrainer(DPOTrainer):  # type: ignore[misc]
    """DPOTrainer whose loss weighs each row, in the preference term and in the SFT term.

    TRL 1.16 drops the column (`_set_signature_columns_if_needed`), its collator does not emit it and `_compute_loss`
    has no hook before the mean, so all three are replaced. With equal weights the loss is TRL's own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Set up TRL's trainer, then let its LM head compute log-probabilities only.

        TRL also has it compute the entropy, mean and rank of every token's logits for its metrics, which on a CPU
        costs more than our row weights and metrics file do.
        """
        super().__init__(*args, **kwargs)
        for model in (self.accelerator.unwrap_model(self.model), self.ref_model):
            if model is not None:
                plain = model.get_base_model() if is_peft_model(model) else model
                add_fused_lm_head(plain, outputs=("log_probs",))
        self.at_reference = True

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: Any, dataset_name: str) -> Dataset:
        return dataset  # Rows come tokenised by `tokenise`, where cut replies lose their stop token.

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: list[str] = vars(self)["_signature_columns"]
        self._signature_columns = [*columns, "weight"] if "weight" not in columns else columns

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        if return_outputs:
            raise NotImplementedError("compute_metrics on logits is not supported")
        weight = inputs["weight"]
        mask = inputs["completion_mask"][:, 1:].bool()
        token_logps = self._token_logps(model, inputs)
        ref_logps = self._reference_logps(inputs)
        logps = token_logps.sum(dim=1)
        chosen, rejected = (logps - ref_logps).chunk(2)
        if self.at_reference and self.model.training and self.state.global_step == 0:
            check_same(logps.detach(), ref_logps, mask.sum(dim=1))
        chosen_mask = mask.chunk(2)[0]
        nll = -token_logps.chunk(2)[0].sum(dim=1)
        loss = weighted_loss(
            self.beta * (chosen - rejected), nll, chosen_mask.sum(dim=1), weight,
            dict(zip(self.loss_types, self.loss_weights, strict=True)),
        )  # fmt: skip
        self._note(chosen.detach(), rejected.detach(), logps.detach(), nll.detach(), chosen_mask, inputs)
        return loss

    def _reference_logps(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Return log-probabilities of the replies (2 rows,): of the adapter's base or copy, or of the model beside."""
        with torch.no_grad(), disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
            if self.ref_model is not None:
                return self._token_logps(self.ref_model, inputs).sum(dim=1)
            unwrapped = self.accelerator.unwrap_model(self.model)
            with use_adapter(unwrapped, adapter_name="ref" if "ref" in unwrapped.peft_config else None):
                return self._token_logps(self.model, inputs).sum(dim=1)

    def _token_logps(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Return log-probabilities (2 rows, length - 1), 0 outside replies; the first half is the chosen side."""
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        outputs = model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False, labels=labels,
            fused_lm_head=True,
        )  # fmt: skip
        logps: torch.Tensor = outputs.log_probs[:, -(labels.size(1) - 1) :]
        return logps

    def _note(
        self, chosen: torch.Tensor, rejected: torch.Tensor, logps: torch.Tensor, nll: torch.Tensor, mask: torch.Tensor,
        inputs: dict[str, Any],
    ) -> None:  # fmt: skip
        mode = "train" if self.model.training else "eval"
        chosen_logps, rejected_logps = logps.chunk(2)
        gather = self.accelerator.gather_for_metrics
        values = {
            "rewards/chosen": self.beta * chosen, "rewards/rejected": self.beta * rejected,
            "rewards/margins": self.beta * (chosen - rejected), "rewards/accuracies": (chosen > rejected).float(),
            "logps/chosen": chosen_logps, "logps/rejected": rejected_logps, "nll": nll.sum() / mask.sum().clamp(min=1),
        }  # fmt: skip
        for name, value in values.items():
            self._metrics[mode][name].append(gather(value).float().mean().item())
        if mode == "train":
            self._total_train_tokens += int(gather(inputs["attention_mask"].sum()).sum().item())
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]


def weighted_loss(
    margin: torch.Tensor, nll: torch.Tensor, tokens: torch.Tensor, weight: torch.Tensor, terms: Mapping[str, float]
) -> torch.Tensor:
    """Return the scalar loss of a batch; `margin`, `nll` (nats), `tokens` (count) and `weight` are (rows,).

    A row of weight 0 counts as absent: it changes neither numerator nor denominator. Rows weigh on average 1 over the
    data set, so that the learning rate keeps its meaning. The SFT term is the weighted mean over tokens, times the
    batch's mean weight, so that a light batch is a light step in both terms.
    """
    present = (weight > 0).sum().clamp(min=1)
    loss = margin.new_zeros(())
    for name, factor in terms.items():
        if name == "sigmoid":
            term = (weight * -F.logsigmoid(margin)).sum() / present
        else:
            per_token = (weight * nll).sum() / (weight * tokens).sum().clamp(min=1e-9)
            term = per_token * weight.sum() / present
        loss = loss + factor * term
    return loss


def train(
    pairs: Sequence[Pair], prepared: Prepared, encoder: Encoder, config: PreferenceConfig, hardware: Hardware,
    metrics: MetricsFile, work: Path,
) -> tuple[DPOTrainer, Mapping[str, int]]:  # fmt: skip
    """Train; return the trainer (its `.model` is trained) and the dropped rows by reason.

    Raises ThumbwheelError `no_rows` when nothing is left to train on.
    """
    made = tokenise(pairs, encoder, config.max_length)
    if not made.rows:
        raise NothingLeft(
            "no_rows",
            f"No pair is left to train on ({dict(made.dropped)}).",
            hint(dict(made.dropped), config.max_length, "Collect more picks."),
            dropped=made.dropped,
        )
    mean = sum(row["weight"] for row in made.rows) / len(made.rows)
    micro = min(config.micro_batch or config.batch, config.batch)
    rng = random.Random(config.seed)
    rows = spread(made.rows, lambda row: str(row["group"]), micro, rng)
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    dataset = Dataset.from_list([{**{c: row[c] for c in columns}, "weight": row["weight"] / mean} for row in rows])
    arguments = DPOConfig(
        output_dir=str(work), learning_rate=config.lr, num_train_epochs=config.epochs, seed=config.seed,
        per_device_train_batch_size=micro, gradient_accumulation_steps=max(1, config.batch // micro),
        train_sampling_strategy="sequential", lr_scheduler_type="linear", max_length=config.max_length,
        beta=config.beta, loss_type=list(config.loss), loss_weights=list(config.loss_weights), disable_dropout=True,
        logging_steps=logging_steps(len(rows), config.batch, config.epochs), save_strategy="no", report_to="none",
        disable_tqdm=True, **hardware.arguments(),
    )  # fmt: skip
    trainer = WeightedDPOTrainer(
        model=prepared.model, args=arguments, train_dataset=dataset, processing_class=encoder.tokenizer,
        data_collator=WeightedCollator(pad_token_id=encoder.pad_id, max_length=config.max_length),
        peft_config=prepared.peft_config, callbacks=[metrics, *prepared.callbacks],
    )  # fmt: skip
    trainer.at_reference = prepared.at_reference
    trainer.remove_callback(PrinterCallback)
    checkpoints.train(trainer)
    return trainer, made.dropped
