package server

import (
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/script"
)

// lacksReplicas reports whether an operator wants writes to have replicas, of which there are none.
func (c *Config) lacksReplicas() bool { return c.replicasLeast > 0 && c.replicasLag > 0 }

// refusalByReplicas is why a call that says of itself that it writes cannot be carried out without replicas.
func (c *session) refusalByReplicas(k call) error {
	if !c.srv.cfg.Load().lacksReplicas() {
		return nil
	}
	if c.declaresWrite(k) || k.route.exec && c.multi.on && c.multi.declared {
		return script.ErrNoReplicas
	}
	return nil
}

// declaresWrite reports whether a call says of itself that it writes. What a script without flags does shows when it does it.
func (c *session) declaresWrite(k call) bool {
	return k.route.cmd.Has(command.Write) || k.route.scripted && c.srv.scripts.engine.DeclaresWrite(k.route.cmd, k.args)
}

// LacksReplicas implements script.Host.
func (c *session) LacksReplicas() bool { return c.srv.cfg.Load().lacksReplicas() }
