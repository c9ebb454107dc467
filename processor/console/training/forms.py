"""Forms of the sentences that say why a way of tuning cannot train, and how weakly one learns; see `sentences.py`."""

from __future__ import annotations


def _(form: str) -> str:
    """Mark a form for the catalogues."""
    return form


FORMS = (
    _("Quantised bases need bitsandbytes, which is not installed."),
    _("Run: %(command)s, or use --tuning lora."),
    _("The folder %(folder)s holds no tuned model."),
    _("Train one."),
    _("The adapter in %(folder)s cannot be continued: it is not a whole model."),
    _("The adapter in %(folder)s cannot be continued: virtual tokens are tuned from the base."),
    _("The weights in %(folder)s do not fit the base model."),
    _("An adapter on %(module)s would not be trained: the loss is computed past it."),
    _("Name other modules, such as q_proj and v_proj, or leave modules out."),
    _("Everything is frozen."),
    _("Leave something to train."),
    _("No weight of the model has %(part)s in its name."),
    _("Name a part such as embed_tokens, mlp or self_attn."),
    _("The champion %(adapter)s was tuned by %(theirs)s: a run by %(name)s cannot continue it."),
    _("Add --from base, or use --tuning %(theirs)s."),
    _("The model has no layer %(number)s."),
    _("Its layers are 0 to %(last)s."),
    _("The model has no linear layer %(names)s."),
    _("It has %(codes_names)s."),
    _(
        "checkpointing and prefix do not go together: a prefix lives in the key-value cache, which "
        "checkpointing throws away."
    ),
    _("Leave checkpointing out, or use --tuning lora."),
    _("It looks like true."),
    _(
        "packing and %(name)s do not go together: the virtual tokens would stand before a pack of many "
        "demonstrations, and teach nothing of a single one."
    ),
    _("Leave packing out, or use --tuning lora."),
    _("stages=1 unfreezes everything at once."),
    _("Use --tuning full for that."),
    _("stages=%(given)s is more than the %(count)s layers of the model."),
    _("Use fewer stages."),
    _("Use lora."),
    _(
        "PiSSA changes the base's own weights, so the reference of a preference run is wrong (its first "
        "loss is 0.70 and not ln 2) and its adapter cannot be served beside the base."
    ),
    _(
        "OLoRA changes the base's own weights, so the reference of a preference run is wrong (its first "
        "loss is 0.71 and not ln 2) and its adapter cannot be served beside the base."
    ),
    _("LoRA-GA changes the base's own weights, so its adapter cannot be served beside the base."),
    _("%(name)s is not offered: Liger needs a GPU with Triton, and its fused losses know no weight per row."),
    _("Leave it out."),
    _("%(name)s means nothing to the tuning %(tuning)s."),
    _("It has no settings."),
    _("%(count)s stages need as many steps; this run has %(steps)s."),
    _("Use fewer stages, more rows or more epochs."),
    _("%(name)s=%(given)s is outside 1..%(most)s."),
    _("They take room from every prompt."),
    _("The first preference loss is %(found)s and not %(expected)s: the reference is not where the run starts."),
    _("The policy begins %(apart)s nats a token away from its reference, and not at it."),
    _("Train from the base, with --tuning lora."),
    _(
        "Weak: in %(steps)s steps on a tiny model the preference loss fell from %(first)s to %(last)s, "
        "with LoRA to %(lora)s. Take lora unless you know why not."
    ),
)
