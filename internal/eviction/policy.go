package eviction

// Order is what the keys that may be evicted are compared by.
type Order int

// The orders.
const (
	Nothing   Order = iota // no key may be evicted
	Recency                // the longest unused goes first
	Frequency              // the least often used goes first
	Chance                 // any
	Expiry                 // what expires soonest goes first
)

// Policy is a value of the setting maxmemory-policy.
type Policy struct {
	Name     string
	Order    Order
	Volatile bool // only keys that expire may be evicted
}

// policies are all there are, in the order in which Redis lists them.
var policies = []Policy{
	{"volatile-lru", Recency, true},
	{"volatile-lfu", Frequency, true},
	{"volatile-random", Chance, true},
	{"volatile-ttl", Expiry, true},
	{"allkeys-lru", Recency, false},
	{"allkeys-lfu", Frequency, false},
	{"allkeys-random", Chance, false},
	{"noeviction", Nothing, false},
}

// PolicyNamed returns the policy with a name; noeviction if there is none.
func PolicyNamed(name string) Policy {
	for _, p := range policies {
		if p.Name == name {
			return p
		}
	}
	return policies[len(policies)-1]
}

// PolicyNames returns the names of all policies.
func PolicyNames() []string {
	names := make([]string, len(policies))
	for i, p := range policies {
		names[i] = p.Name
	}
	return names
}
