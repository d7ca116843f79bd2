package resp

// Limits bound what a Reader accepts. In a field, 0 or less stands for the value
// of DefaultLimits.
type Limits struct {
	MaxBulk    int // bytes in one argument
	MaxArgs    int // arguments of one command
	MaxInline  int // bytes of an inline command or of a count line, before its end
	MaxCommand int // bytes of one whole command on the wire

	// Unauthenticated selects the texts of Redis for a peer that is refused
	// because it has not logged in yet, not because nobody may send so much.
	Unauthenticated bool
}

// DefaultLimits are those of Redis for a client that may run commands.
var DefaultLimits = Limits{
	MaxBulk:    512 << 20,
	MaxArgs:    1 << 20,
	MaxInline:  64 << 10,
	MaxCommand: 1 << 30,
}

// UnauthenticatedLimits are those of Redis for a client that has yet to log in.
// They leave room for AUTH and HELLO and little else.
var UnauthenticatedLimits = Limits{
	MaxBulk:         16 << 10,
	MaxArgs:         10,
	MaxInline:       64 << 10,
	MaxCommand:      1 << 20,
	Unauthenticated: true,
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.MaxBulk, DefaultLimits.MaxBulk)
	def(&l.MaxArgs, DefaultLimits.MaxArgs)
	def(&l.MaxInline, DefaultLimits.MaxInline)
	def(&l.MaxCommand, DefaultLimits.MaxCommand)
	return l
}
