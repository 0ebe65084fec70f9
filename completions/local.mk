# SPDX-License-Identifier: BSD-2-Clause
EXTRA_DIST += completions/uds.bash completions/_uds

if BUILD_TOOL
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = completions/_uds

# bash looks for a file with the name of the command.
install-data-local:
	$(MKDIR_P) $(DESTDIR)$(bashcompletiondir)
	$(INSTALL_DATA) $(srcdir)/completions/uds.bash $(DESTDIR)$(bashcompletiondir)/uds

uninstall-local:
	rm -f $(DESTDIR)$(bashcompletiondir)/uds
endif
