"""Operations for what this site offers, open to everybody."""

from typing import Any

from rest_framework import serializers

from inference.api.representations import represent_sampling
from inference.api.schemas import Anything, Features, ModelConfigInfo
from inference.chats import presets
from inference.policy import current_policy
from inference.registry import offer
from oasst.api.operations import Access, Call, Operation, operation

OPERATIONS: list[Operation] = []


@operation(OPERATIONS, "GET", "configs/features", Access.OPEN, answer=Features)
def get_features(call: Call) -> Any:
    """The features of this site, and its limits."""
    return {**vars(current_policy()), "chat": offer.is_on(), "plugins": False}


@operation(OPERATIONS, "GET", "configs/model_configs", Access.OPEN, answer=[ModelConfigInfo])
def get_model_configs(call: Call) -> Any:
    """The models that the caller may choose, the default first, each with the built-in presets."""
    configs = [
        {"name": name, "description": "", "sampling_parameters": represent_sampling(sampling)}
        for name, sampling in presets.BUILT_IN.items()
    ]
    return [{"name": name, "description": "", "parameter_configs": configs} for name in offer.models_for(call.viewer)]


@operation(OPERATIONS, "GET", "configs/builtin_plugins", Access.OPEN, answer=serializers.ListField(child=Anything()))
def get_builtin_plugins(call: Call) -> Any:
    """The built-in plugins; there are none."""
    return []
