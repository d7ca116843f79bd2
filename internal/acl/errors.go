package acl

import (
	"fmt"

	"github.com/elastickv/elastickv/internal/command"
)

// fault is what is wrong with a rule, in Redis' words.
type fault string

func (f fault) Error() string { return string(f) }

// Errors of rules.
const (
	errUnknown     = fault("Unknown command or category name in ACL")
	errSyntax      = fault("Syntax error")
	errAllKeys     = fault("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	errAllChannels = fault("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	errNoPassword  = fault("The password you are trying to remove from the user does not exist")
	errHash        = fault("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	errFirstArg    = fault("Allowing first-arg of a subcommand is not supported")
)

// ErrName says that a name cannot be that of a user.
const ErrName = fault("Usernames can't contain spaces or null characters")

// RuleError says which rule of a user is wrong. It is for the one who has sent the rule,
// which may hold a password, and not for logs.
type RuleError struct {
	Rule string
	Err  error
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("Error in ACL SETUSER modifier '%s': %v", command.UpToNUL(e.Rule), e.Err)
}

func (e *RuleError) Unwrap() error { return e.Err }

// UnmatchedError says that a selector has no closing parenthesis.
type UnmatchedError struct{ Rule string }

func (e *UnmatchedError) Error() string {
	return fmt.Sprintf("Unmatched parenthesis in acl selector starting at '%s'.", e.Rule)
}
