# What a person types; the work itself is in scripts/ and xtask/.

.PHONY: test

# Installs what the tests drive (where it may), runs every test, ends with the counts.
test:
	@scripts/test.sh
