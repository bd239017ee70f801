"""Models in use: servables, model change, bundle folder and pin."""
