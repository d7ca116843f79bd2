package server

import (
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

var lolwutRow = &command.Command{
	Name: "lolwut", Arity: -1, Flags: command.ReadOnly | command.Fast, Group: command.GroupServer, Run: lolwut, Since: "5.0.0",
	Syntax:  "[VERSION version]",
	Summary: "Draws a picture, and tells the version.", Complexity: "O(1)",
}

// lolwut draws a triangle of Sierpinski: the odd numbers of Pascal's.
func lolwut(c *command.Ctx) error {
	args := c.Args[1:]
	if len(args) >= 2 && strings.EqualFold(string(args[0]), "version") {
		args = args[1:]
	}
	for _, a := range args {
		if _, err := parseInt(a); err != nil {
			return err
		}
	}
	const rows = 16
	var b strings.Builder
	for y := range rows {
		b.WriteString(strings.Repeat(" ", rows-1-y))
		for x := range y + 1 {
			if x&^y == 0 {
				b.WriteString("* ")
			} else {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nelastickv " + serverOf(c).opts.Version + ", as Redis ver. " + compatVersion + "\n")
	c.Out.Verbatim("txt", b.String())
	return nil
}
