package event

// Value gives the value of a tag, and whether there is such a tag. Of nil: none.
func (t *Tags) Value(key string) (string, bool) {
	for _, tag := range t.GetTags() {
		if tag.Key == key {
			return tag.Value, true
		}
	}
	return "", false
}
