package rdb

import (
	"fmt"
	"strconv"
	"strings"
)

// show writes a value out, long strings as their length.
func show(v Value) string {
	var b strings.Builder
	switch v := v.(type) {
	case String:
		fmt.Fprintf(&b, "string %s", quote(v))
	case List:
		b.WriteString("list")
		for _, e := range v {
			b.WriteString(" " + quote(e))
		}
	case Set:
		b.WriteString("set")
		for _, m := range v.Members {
			b.WriteString(" " + quote(m))
		}
	case ZSet:
		b.WriteString("zset")
		for _, m := range v.Members {
			fmt.Fprintf(&b, " %s=%s", quote(m.Name), strconv.FormatFloat(m.Score, 'g', -1, 64))
		}
	case Hash:
		b.WriteString("hash")
		for _, f := range v.Fields {
			fmt.Fprintf(&b, " %s=%s", quote(f.Name), quote(f.Value))
			if f.ExpireAt != 0 {
				fmt.Fprintf(&b, "@%d", f.ExpireAt)
			}
		}
	case *Stream:
		showStream(&b, v)
	}
	return b.String()
}

func quote(s []byte) string {
	const most = 32
	if len(s) > most {
		return fmt.Sprintf("%q…(%d)", s[:most/2], len(s))
	}
	return strconv.Quote(string(s))
}

func (id ID) String() string { return fmt.Sprintf("%d-%d", id.Ms, id.Seq) }

func showStream(b *strings.Builder, s *Stream) {
	fmt.Fprintf(b, "stream last %v deleted %v added %d", s.LastID, s.MaxDeletedID, s.EntriesAdded)
	for _, e := range s.Entries {
		fmt.Fprintf(b, "\n  %v", e.ID)
		for _, f := range e.Fields {
			b.WriteString(" " + quote(f))
		}
	}
	for _, g := range s.Groups {
		fmt.Fprintf(b, "\n  group %s last %v read %d", quote(g.Name), g.LastID, g.EntriesRead)
		for _, c := range g.Consumers {
			fmt.Fprintf(b, " consumer %s", quote(c.Name))
		}
		for _, p := range g.Pending {
			fmt.Fprintf(b, "\n    pending %v of %s deliveries %d", p.ID, quote(g.Consumers[p.Consumer].Name), p.Deliveries)
		}
	}
}
