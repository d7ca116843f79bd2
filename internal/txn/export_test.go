package txn

// SetSettlementsMost sets how many deleted spans may wait to be counted. Nothing is measured yet.
func (l *Local) SetSettlementsMost(n int) { l.meter.lateMost = n }
