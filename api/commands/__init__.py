"""Sub-commands of `linli` that belong to the API; each module is loaded only when its command is used."""
