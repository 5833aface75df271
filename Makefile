# What a person types; the work itself is in scripts/ and xtask/.

.PHONY: demo dist dist-check run test

# Counts real input through a node that is killed on the way; ends with 0 if every total is right.
demo:
	@scripts/demo.sh

# Starts a node on the default ports and stays. DATA=DIR chooses where it keeps its files.
run:
	@cargo build --release --quiet --package quipu
	@exec "$${CARGO_TARGET_DIR:-target}/release/quipu" serve --data "$${DATA:-quipu-data}" $(ARGS)

# Installs what the tests drive (where it may), runs every test, ends with the counts.
test:
	@scripts/test.sh

# The Debian package and the static archive, with their bill of materials and checksums.
dist:
	@scripts/dist.sh

# Installs and runs each of them.
dist-check: dist
	@scripts/dist-check.sh
