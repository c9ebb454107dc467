"""Sentences about runs that train elsewhere, in several processes or at a vendor, and about exports."""

from __future__ import annotations


def _(form: str) -> str:
    """Mark a form for the catalogues."""
    return form


FORMS = (
    _("A hosted job there cannot train %(method)s."),
    _("batch=%(batch)s cannot be shared by %(number)s processes."),
    _("Use a multiple of %(number)s."),
    _("%(setting)s is no setting of a hosted job."),
    _("Known: %(names)s; a number above 0, or auto."),
    _("%(path)s is there already."),
    _("Name another with --out."),
    _("%(what)s: `%(command)s` ended with %(status)s: %(said_why)s"),
    _("Run that command by hand where the trainer runs."),
    _("A hosted job cannot continue %(id)s: its weights are here."),
    _("Saved as %(dtype)s, the merged model loses %(share)s of what the adapter changes."),
    _("Export it with --dtype float32, or serve the adapter beside its base."),
    _("No GGUF file is written for this model: %(why)s."),
    _("The model's chat template cannot be said in a Modelfile."),
    _("Take --format gguf: llama.cpp's server runs the template inside that file."),
    _("This job would cost about %(cost)s, and %(confirmed)s is confirmed."),
    _("thumbwheel train --params '%(params)s' confirms it."),
    _("What a hosted job costs is not known."),
    _("Set THUMBWHEEL_TRAIN_PRICE to the vendor's price for a million training tokens."),
    _("An adapter of the kind %(kind)s adds to the prompt and cannot be merged."),
    _("Take the adapter itself: --format card."),
    _("%(id)s is a whole model: there is nothing to merge."),
    _("Its files are in %(path)s."),
    _("The champion is the remote model %(id)s: its weights are not here."),
    _("A hosted job takes at least %(least)s rows; there are %(number)s for %(method)s."),
    _("Start from the base: thumbwheel train --from base"),
    _("Collect more feedback, or train here."),
    _("The file would have %(bytes)s bytes, a hosted job takes %(most)s."),
    _("Build a dataset with --max-rows."),
    _("%(address)s cannot be reached: %(said_why)s."),
    _("Is THUMBWHEEL_MODEL_API its address?"),
    _("Look at it there."),
    _("%(method)s %(address)s was answered with %(status)s: %(said_why)s"),
    _("The vendor's documentation says what that means."),
    _("The answer to %(address)s is no JSON object: %(text)s"),
    _("Is THUMBWHEEL_MODEL_API the address of its API, up to and with /v1?"),
    _("The vendor answered in another form: it has %(names)s."),
    _("It has to speak OpenAI's API."),
    _("%(expected)s processes were to train, and there are %(number)s."),
    _("Start them with torchrun: accelerate launch starts one on a CPU."),
)
