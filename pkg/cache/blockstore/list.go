package blockstore

// list is an intrusive list of versions, the next victim at the tail.
type list struct{ head, tail *version }

func (l *list) push(v *version) {
	v.prev, v.next = nil, l.head
	if l.head != nil {
		l.head.prev = v
	} else {
		l.tail = v
	}
	l.head = v
}

func (l *list) pushTail(v *version) {
	v.prev, v.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = v
	} else {
		l.head = v
	}
	l.tail = v
}

func (l *list) remove(v *version) {
	if v.prev != nil {
		v.prev.next = v.next
	} else {
		l.head = v.next
	}
	if v.next != nil {
		v.next.prev = v.prev
	} else {
		l.tail = v.prev
	}
	v.prev, v.next = nil, nil
}

// append moves all versions of other to the tail.
func (l *list) append(other *list) {
	if other.head == nil {
		return
	}
	if l.tail == nil {
		*l = *other
		return
	}
	l.tail.next, other.head.prev = other.head, l.tail
	l.tail = other.tail
}
