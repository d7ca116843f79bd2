package lua

import "unsafe"

// Kind is the basic type of a Value.
type Kind uint8

// The kinds of values.
const (
	KindNil Kind = iota
	KindBool
	KindNumber
	KindString
	KindTable
	KindFunction
	KindThread
	KindUserdata
)

var kindNames = [...]string{"nil", "boolean", "number", "string", "table", "function", "thread", "userdata"}

// String returns the name that the function type gives the kind.
func (k Kind) String() string { return kindNames[k] }

// Value is any Lua value. The zero Value is nil. Values are not comparable with ==: use
// RawEqual.
//
// A Value is two words, so that numbers and strings need no allocation of their own:
//
//	number     ref = &numberTag                 bits = the float64
//	string     ref = its first byte, or nil     bits = kind | fingerprint (30 bits) | length (30 bits)
//	otherwise  ref = the object, or nil         bits = kind; a boolean's value in the lowest bit
//
// Two strings with equal bits are equal if their bytes are; different bits mean that they
// differ.
type Value struct {
	_    [0]func()
	ref  unsafe.Pointer
	bits uint64
}

// numberTag marks numbers; only its address matters.
var numberTag byte

const (
	kindShift = 60
	hashShift = 30
	lenMask   = 1<<hashShift - 1
	hashMask  = 1<<(kindShift-hashShift) - 1

	boolBits     = uint64(KindBool) << kindShift
	stringBits   = uint64(KindString) << kindShift
	tableBits    = uint64(KindTable) << kindShift
	functionBits = uint64(KindFunction) << kindShift
	threadBits   = uint64(KindThread) << kindShift
	userdataBits = uint64(KindUserdata) << kindShift

	// maxString is the length of the longest string that a Value can hold.
	maxString = lenMask
)

// The constants among the values.
var (
	Nil   = Value{}
	False = Value{bits: boolBits}
	True  = Value{bits: boolBits | 1}
	Null  = Value{bits: userdataBits} // a pointer of C that points nowhere
)

// Bool returns b as a Value.
func Bool(b bool) Value {
	if b {
		return True
	}
	return False
}

// Number returns f as a Value.
func Number(f float64) Value {
	return Value{ref: unsafe.Pointer(&numberTag), bits: *(*uint64)(unsafe.Pointer(&f))}
}

// String returns s, any bytes, as a Value. It panics with an *Error if s is too long
// for a Lua string (1 GiB).
func String(s string) Value {
	if len(s) > maxString {
		panic(errMemory)
	}
	return Value{
		ref:  unsafe.Pointer(unsafe.StringData(s)),
		bits: stringBits | uint64(fingerprint(s)&hashMask)<<hashShift | uint64(len(s)),
	}
}

// bytesValue returns a string value that takes over b, which must not change any more.
func bytesValue(b []byte) Value { return String(unsafe.String(unsafe.SliceData(b), len(b))) }

// TableValue returns t as a Value; of a nil *Table, Nil.
func TableValue(t *Table) Value {
	if t == nil {
		return Nil
	}
	return Value{ref: unsafe.Pointer(t), bits: tableBits}
}

// FunctionValue returns f as a Value; of a nil *Function, Nil.
func FunctionValue(f *Function) Value {
	if f == nil {
		return Nil
	}
	return Value{ref: unsafe.Pointer(f), bits: functionBits}
}

func threadValue(t *thread) Value { return Value{ref: unsafe.Pointer(t), bits: threadBits} }

// hashedMax is the length of the longest string whose fingerprint is its hash. That of
// a longer one covers only its ends, so that making one does not mean reading it again.
const hashedMax = 64

func fingerprint(s string) uint32 {
	if len(s) <= hashedMax {
		return hashString(s)
	}
	return hashString(s[:hashedMax/2]) ^ 31*hashString(s[len(s)-hashedMax/2:])
}

// hashString is the hash of the reference implementation, so that tables keep their keys in
// the same order.
func hashString(s string) uint32 {
	h := uint32(len(s))
	for i := len(s) - 1; i >= 0; i-- {
		h ^= h<<5 + h>>2 + uint32(s[i])
	}
	return h
}

// Kind returns the basic type of v.
func (v Value) Kind() Kind {
	if v.isNumber() {
		return KindNumber
	}
	return Kind(v.bits >> kindShift)
}

// IsNil reports whether v is nil.
func (v Value) IsNil() bool { return v.bits == 0 && v.ref == nil }

// Truthy reports whether v counts as true in a condition: all but nil and false do.
func (v Value) Truthy() bool { return v.ref != nil || v.bits&^boolBits != 0 }

// AsNumber returns the float64 of a number. Of another kind it returns 0 and false; it does
// not convert strings (see ToNumber).
func (v Value) AsNumber() (float64, bool) {
	if !v.isNumber() {
		return 0, false
	}
	return v.number(), true
}

// AsString returns the bytes of a string. Of another kind it returns "" and false; it does
// not convert numbers (see ToString).
func (v Value) AsString() (string, bool) {
	if !v.isString() {
		return "", false
	}
	return v.str(), true
}

// AsTable returns the table in v, or nil.
func (v Value) AsTable() *Table {
	if !v.isTable() {
		return nil
	}
	return v.table()
}

// AsFunction returns the function in v, or nil.
func (v Value) AsFunction() *Function {
	if !v.isFunction() {
		return nil
	}
	return v.function()
}

// RawEqual reports whether a and b are the same value, without metamethods. NaN differs
// from itself.
func RawEqual(a, b Value) bool {
	if a.isNumber() || b.isNumber() {
		return a.isNumber() && b.isNumber() && a.number() == b.number()
	}
	if a.bits != b.bits {
		return false
	}
	return a.ref == b.ref || a.isString() && a.str() == b.str()
}

func (v Value) isNumber() bool { return v.ref == unsafe.Pointer(&numberTag) }

func (v Value) isString() bool { return v.bits>>kindShift == uint64(KindString) && !v.isNumber() }

func (v Value) isTable() bool { return v.bits == tableBits && !v.isNumber() }

func (v Value) isFunction() bool { return v.bits == functionBits && !v.isNumber() }

func (v Value) isThread() bool { return v.bits == threadBits && !v.isNumber() }

// The accessors below need a value of their kind.

func (v Value) number() float64 { return *(*float64)(unsafe.Pointer(&v.bits)) }

func (v Value) str() string { return unsafe.String((*byte)(v.ref), int(v.bits&lenMask)) }

func (v Value) strLen() int { return int(v.bits & lenMask) }

// hash returns the hash of a string.
func (v Value) hash() uint32 {
	if v.bits&lenMask > hashedMax {
		return hashString(v.str())
	}
	return uint32(v.bits >> hashShift & hashMask)
}

func (v Value) table() *Table { return (*Table)(v.ref) }

func (v Value) function() *Function { return (*Function)(v.ref) }

func (v Value) thread() *thread { return (*thread)(v.ref) }

// oneByte holds the strings of one byte, which programs that walk over bytes make all the
// time.
var oneByte = func() (vs [256]Value) {
	for i := range vs {
		vs[i] = String(string([]byte{byte(i)}))
	}
	return vs
}()
