package command

import "testing"

// The slots are those that CLUSTER KEYSLOT of Redis 7.0 answers.
func TestSlot(t *testing.T) {
	for key, want := range map[string]int{
		"": 0, "foo": 12182, "a": 15495, "123456789": 12739, "{foo}bar": 12182, "x{foo}": 12182, "{}foo": 9500, "{foo": 13308,
		"a{}{foo}": 700, "{{foo}}": 13308, "foo}{a}": 15495,
	} {
		if got := Slot([]byte(key)); got != want {
			t.Errorf("%q has slot %d, want %d", key, got, want)
		}
	}
}
