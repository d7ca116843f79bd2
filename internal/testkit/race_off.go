//go:build !race

package testkit

// buildFlags make our program as the tests themselves were made.
var buildFlags []string
