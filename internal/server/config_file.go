package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// configLineMost is the longest line of a configuration file, in bytes.
const configLineMost = 64 << 10

// ReadFile takes the settings from a file of lines "name value", with # before comments,
// and remembers it for CONFIG REWRITE. An error names the line.
func (c *Config) ReadFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	if err := c.read(f); err != nil {
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	c.file = abs
	return nil
}

func (c *Config) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, configLineMost)
	n := 0
	gathered := make(map[*setting]string)
	for lines.Scan() {
		n++
		name, value, err := parseConfigLine(lines.Text())
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if name == "" {
			continue
		}
		if name == userWord {
			c.users = append(c.users, value)
			continue
		}
		if s := settingNamed(name); s != nil && s.gathers {
			if value != "" && gathered[s] != "" {
				value = gathered[s] + " " + value
			}
			gathered[s] = value
		}
		if err := c.Set(name, value); err != nil {
			return fmt.Errorf("line %d: %s: %w", n, name, err)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes", configLineMost)
		}
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return nil
}

// parseConfigLine splits a line into a name and a value whose words are
// separated by one space; both are empty for a line that says nothing.
func parseConfigLine(line string) (name, value string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	name, rest, _ := strings.Cut(line, " ")
	if i := strings.IndexByte(name, '\t'); i >= 0 {
		name, rest = line[:i], line[i+1:]
	}
	var words []string
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		var word string
		if word, rest, err = configWord(rest); err != nil {
			return "", "", err
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return "", "", fmt.Errorf("%s has no value", name)
	}
	return name, strings.Join(words, " "), nil
}

var errQuotes = errors.New("unbalanced quotes")

// configWord takes the first word off a line. Words in double quotes have the escapes
// of Go and Redis, those in single quotes none.
func configWord(line string) (word, rest string, err error) {
	switch line[0] {
	case '"':
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return "", "", errQuotes
		}
		word, err = strconv.Unquote(quoted)
		return word, line[len(quoted):], err
	case '\'':
		end := strings.IndexByte(line[1:], '\'')
		if end < 0 {
			return "", "", errQuotes
		}
		return line[1 : 1+end], line[2+end:], nil
	}
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], line[i:], nil
	}
	return line, "", nil
}

// rewriteFile brings the file up to date: lines of settings get the value in
// force, settings that are not in it and have been set are added, everything
// else stays. The file is replaced as a whole or not at all.
func (c *Config) rewriteFile() error {
	old, err := os.ReadFile(c.file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return replaceFile(c.file, c.rewritten(old))
}

func (c *Config) rewritten(old []byte) []byte {
	var out bytes.Buffer
	done := make(map[string]bool)
	for line := range strings.Lines(string(old)) {
		name, _, err := parseConfigLine(line)
		if name == userWord {
			continue // what is said of users follows at the end
		}
		s := settingNamed(name)
		if err != nil || name == "" || s == nil {
			out.WriteString(strings.TrimRight(line, "\r\n") + "\n")
			continue
		}
		if !done[s.name] {
			out.WriteString(c.line(s))
		}
		done[s.name] = true
	}
	for i := range settings {
		if s := &settings[i]; c.given[s.name] && !done[s.name] {
			out.WriteString(c.line(s))
		}
	}
	for _, u := range c.users {
		out.WriteString(userWord + " " + u + "\n")
	}
	return out.Bytes()
}

// userWord begins the lines of a configuration file that make users.
const userWord = "user"

// line is a setting as it stands in a file.
func (c *Config) line(s *setting) string {
	value := s.get(c)
	if value == "" || strings.ContainsAny(value, "\"'#\\\r\n\t") || strings.TrimSpace(value) != value {
		value = strconv.Quote(value)
	}
	return s.name + " " + value + "\n"
}

// replaceFile writes a file under another name and then takes its place.
func replaceFile(path string, data []byte) error {
	mode := os.FileMode(0o600)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
