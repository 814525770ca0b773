"""The public names for exporting your own Keras model: `from export.keras import UserModel, recurrent`."""

from export.user_model.model import UserModel, recurrent

__all__ = ["UserModel", "recurrent"]
