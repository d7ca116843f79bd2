package server

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/command"
)

var rewrite = flag.Bool("rewrite", false, "write docs/COMPATIBILITY.md, and what is known of Redis, anew")

const (
	compatibilityPage = "../../docs/COMPATIBILITY.md"
	remarksFile       = "testdata/compatibility.txt"
	redisFile         = "testdata/redis-7.0.txt"
)

// What Redis 7.2 has added to 7.0.
const (
	commandsOf72 = "client|no-touch client|setinfo cluster|myshardid waitaof"
	settingsOf72 = "cluster-announce-human-nodename locale-collate set-max-listpack-entries set-max-listpack-value"
)

// redisNames is what is known of Redis 7.2.
type redisNames struct {
	commands map[string]bool
	settings map[string]redisSetting
}

type redisSetting struct {
	atStart bool
	initial string // "?" if it is not known, or not the same everywhere
}

func readRedisNames(t *testing.T) redisNames {
	t.Helper()
	known := redisNames{make(map[string]bool), make(map[string]redisSetting)}
	for _, line := range readLines(t, redisFile) {
		switch f := strings.SplitN(line, " ", 4); f[0] {
		case "command":
			known.commands[f[1]] = true
		case "setting":
			initial, err := strconv.Unquote(f[3])
			if err != nil {
				t.Fatalf("%s: %q: %v", redisFile, line, err)
			}
			known.settings[f[1]] = redisSetting{f[2] == "start", initial}
		}
	}
	for name := range strings.FieldsSeq(commandsOf72) {
		known.commands[name] = true
	}
	for name := range strings.FieldsSeq(settingsOf72) {
		known.settings[name] = redisSetting{initial: "?"}
	}
	return known
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\n"); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// SameFile compares a file with what it should be, or writes it.
func SameFile(t *testing.T, file, want string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == want {
		return
	}
	gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(want, "\n")
	for i, line := range wantLines {
		if i >= len(gotLines) || gotLines[i] != line {
			t.Fatalf("line %d of %s is not up to date: it should be\n%s\nRun go test ./internal/server -run '%s' -rewrite", i+1, file, line, t.Name())
		}
	}
	t.Fatalf("%s has lines too many. Run go test ./internal/server -run '%s' -rewrite", file, t.Name())
}

// remark says why a command or setting is not as in Redis.
type remark struct {
	kind, pattern string
	no            bool // it is not supported at all
	text          string
	used          bool
}

// remarks are the reasons, in the order of the file: the first that fits counts.
type remarks []*remark

func readRemarks(t *testing.T) remarks {
	t.Helper()
	var out remarks
	for _, line := range readLines(t, remarksFile) {
		f := strings.SplitN(line, " ", 4)
		if len(f) != 4 || f[2] != "no" && f[2] != "differs" || f[0] != "command" && f[0] != "setting" {
			t.Fatalf("%s: %q is not: command|setting PATTERN no|differs TEXT", remarksFile, line)
		}
		out = append(out, &remark{kind: f[0], pattern: f[1], no: f[2] == "no", text: f[3]})
	}
	return out
}

func (rs remarks) of(kind, name string) *remark {
	for _, r := range rs {
		if ok, _ := path.Match(r.pattern, name); ok && r.kind == kind {
			r.used = true
			return r
		}
	}
	return nil
}

// part is one table of the page.
type part struct {
	title string
	whole []string    // names of what is as in Redis
	rows  [][3]string // name, how far it is supported, why
}

func (p *part) write(b *strings.Builder) {
	fmt.Fprintf(b, "### %s\n\n", p.title)
	if len(p.whole) > 0 {
		fmt.Fprintf(b, "As in Redis: %s.\n\n", strings.Join(p.whole, ", "))
	}
	if len(p.rows) == 0 {
		return
	}
	b.WriteString("| | | |\n|---|---|---|\n")
	for _, r := range p.rows {
		fmt.Fprintf(b, "| %s | %s | %s |\n", r[0], r[1], r[2])
	}
	b.WriteString("\n")
}

// TestCompatibilityPage keeps the lists of docs/COMPATIBILITY.md to the tables of commands and settings. What
// Redis has and we have not, or only say no to, needs a reason in testdata/compatibility.txt; a reason that is
// no longer one has to go.
func TestCompatibilityPage(t *testing.T) {
	known, why := readRedisNames(t), readRemarks(t)
	page, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for mark, list := range map[string]string{
		"commands": commandLists(t, known, why),
		"settings": settingLists(t, known, why),
	} {
		begin, end := "<!-- "+mark+": made by go test ./internal/server -run TestCompatibilityPage -rewrite -->\n", "<!-- end of "+mark+" -->"
		i, j := strings.Index(text, begin), strings.Index(text, end)
		if i < 0 || j < i {
			t.Fatalf("%s has no lines\n%s%s", compatibilityPage, begin, end)
		}
		text = text[:i+len(begin)] + "\n" + list + text[j:]
	}
	for _, r := range why {
		if !r.used {
			t.Errorf("%s: %s %s: there is no such thing, or one above fits, too", remarksFile, r.kind, r.pattern)
		}
	}
	SameFile(t, compatibilityPage, text)
}

var groupTitles = map[command.Group]string{
	command.GroupGeneric: "Keys", command.GroupString: "Strings", command.GroupList: "Lists", command.GroupSet: "Sets",
	command.GroupSortedSet: "Sorted sets", command.GroupHash: "Hashes", command.GroupPubSub: "Pub/sub",
	command.GroupTransactions: "Transactions", command.GroupConnection: "Connections", command.GroupServer: "Server",
	command.GroupScripting: "Scripts and functions", command.GroupBitmap: "Bitmaps", command.GroupHyperLogLog: "HyperLogLogs",
	command.GroupGeo: "Places", command.GroupStream: "Streams", command.GroupCluster: "Cluster",
}

const notHere = "Not here"

// commandLists renders every command of Redis and of ours, by group.
func commandLists(t *testing.T, known redisNames, why remarks) string {
	t.Helper()
	parts := make(map[string]*part)
	in := func(title string) *part {
		if parts[title] == nil {
			parts[title] = &part{title: title}
		}
		return parts[title]
	}
	missing := maps.Clone(known.commands)
	for _, cmd := range everyCommand() {
		name := cmd.FullName()
		delete(missing, name)
		if len(cmd.Sub) > 0 {
			continue // it is its subcommands that are called
		}
		p, shown := in(groupTitles[cmd.Group]), commandShown(name)
		if !known.commands[name] {
			shown += " (of Redis " + strings.TrimSuffix(cmd.Since, ".0") + ")"
		}
		r := why.of("command", name)
		switch {
		case r == nil:
			p.whole = append(p.whole, shown)
		case r.no:
			p.rows = append(p.rows, [3]string{shown, "no", r.text})
		default:
			p.rows = append(p.rows, [3]string{shown, "differs", r.text})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		r := why.of("command", name)
		if r == nil || !r.no {
			t.Errorf("Redis has %s, and %s does not say why we have not", name, remarksFile)
			continue
		}
		p := in(notHere)
		p.rows = append(p.rows, [3]string{commandShown(name), "no", r.text})
	}
	return writeParts(parts)
}

func everyCommand() []*command.Command {
	var out []*command.Command
	for _, cmd := range table().All() {
		out = append(append(out, cmd), cmd.Sub...)
	}
	return out
}

func commandShown(name string) string {
	return "`" + strings.ToUpper(strings.ReplaceAll(name, "|", " ")) + "`"
}

// writeParts writes the parts in order of their titles, and what is not here last. Rows that say the same become one.
func writeParts(parts map[string]*part) string {
	var b strings.Builder
	order := slices.SortedFunc(maps.Keys(parts), func(a, c string) int {
		return cmp.Or(boolToInt(a == notHere)-boolToInt(c == notHere), strings.Compare(a, c))
	})
	for _, title := range order {
		p := parts[title]
		var rows [][3]string
		for _, r := range p.rows {
			if i := slices.IndexFunc(rows, func(o [3]string) bool { return o[1] == r[1] && o[2] == r[2] }); i >= 0 {
				rows[i][0] += ", " + r[0]
			} else {
				rows = append(rows, r)
			}
		}
		p.rows = rows
		p.write(&b)
	}
	return b.String()
}

// settingLists renders every setting of Redis and of ours.
func settingLists(t *testing.T, known redisNames, why remarks) string {
	t.Helper()
	idle := make(map[string]bool)
	for _, s := range idleSettings {
		idle[s.name] = true
	}
	have, without := &part{title: "Settings of Redis"}, &part{title: "Settings that are not here"}
	var ours, tuning []string
	missing := maps.Clone(known.settings)
	defaults := NewConfig()
	for _, s := range settings {
		theirs, isKnown := known.settings[s.name]
		delete(missing, s.name)
		delete(missing, s.alias)
		shown := "`" + s.name + "`"
		r := why.of("setting", s.name)
		switch {
		case s.hidden:
		case !isKnown:
			ours = append(ours, shown)
		case r != nil && r.no:
			t.Errorf("%s: %s is said not to be here, but it is", remarksFile, s.name)
		case idle[s.name]:
			tuning = append(tuning, shown)
		default:
			text := ""
			if r != nil {
				text = r.text
			}
			if value := s.get(defaults); theirs.initial != "?" && value != theirs.initial {
				text = strings.TrimPrefix(text+"; "+defaultShown(value, theirs.initial), "; ")
			}
			if s.atStart && !theirs.atStart {
				text = strings.TrimPrefix(text+"; set when the server starts", "; ")
			}
			if text == "" {
				have.whole = append(have.whole, shown)
			} else {
				have.rows = append(have.rows, [3]string{shown, "differs", text})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		r := why.of("setting", name)
		if r == nil || !r.no {
			t.Errorf("Redis has the setting %s, and %s does not say why we have not", name, remarksFile)
			continue
		}
		without.rows = append(without.rows, [3]string{"`" + name + "`", "no", r.text})
	}
	slices.Sort(tuning)
	slices.Sort(have.whole)
	text := writeParts(map[string]*part{"1": have, "2": without})
	return text + "### Settings that are kept and do nothing\n\nRedis tunes machinery with them that is not here. They can be set, in a file too, and read back: " +
		strings.Join(tuning, ", ") + ".\n\n### Settings of our own\n\n" + strings.Join(ours, ", ") + ". [OPERATING](OPERATING.md#settings) says what they do.\n\n"
}

func defaultShown(ours, theirs string) string {
	quote := func(v string) string {
		if v == "" {
			return "none"
		}
		return "`" + v + "`"
	}
	return "the default is " + quote(ours) + ", not " + quote(theirs)
}
