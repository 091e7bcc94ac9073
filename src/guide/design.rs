//! How it works inside, and what was tried. For those who change it, and those who wonder.
//!
//! # Three ideas
//!
//! **Bytes cross threads, messages do not.** Between `send` and the kernel, and between the kernel and `recv`, there
//! is exactly one queue of *chunks*: ZMTP frames back to back, each up to 64 KiB, with a count of the messages that end
//! in them. `send` encodes into the last chunk of the peer's queue; the connection's task moves whole chunks to
//! and from the kernel; `recv` decodes one message from the front chunk. Nothing is allocated per message on one
//! core and freed on another, and no wake-up and no channel operation is per message. Both directions use the same
//! structure, also between in-process peers, where only large messages are moved as they are.
//!
//! **Patterns are values.** Load-balance, distribute, route-by-id and fair-queue are plain structs over the ids of
//! pipes. They know nothing of tasks, locks, sockets or time, and are tested with two vectors in place of a
//! network. A socket type is a choice of two of them.
//!
//! **A task exists only for a descriptor.** One per connection, one per listener. No task per socket, no mailbox:
//! a socket is shared state under short locks, and back-pressure is a return value.
//!
//! # Layers
//!
//! ```text
//! kinds ──> socket ──> driver ──> pipe ──> zmtp ──> message
//!   │          │          └─────> zocket-transport          (a crate that knows none of the others)
//!   └> pattern ┴────────────────> pipe::PipeId and other values
//! ```
//!
//! | layer | is | must never name |
//! |---|---|---|
//! | `message` | frames and messages | anything of ours, I/O |
//! | `zmtp` | the protocol: one engine per connection; bytes and times come in as arguments | tokio, `std::io`, `std::net`, locks |
//! | `pipe` | queues and marks: plain data | tokio, clocks, the engine; locks, but for that of an inbox |
//! | `pattern` | which pipe gets a message, which is read next | tokio, wakers, locks, clocks, queues |
//! | `driver` | the tasks: the only place that polls I/O | socket types: it sees a socket as a trait object |
//! | `socket` | what users hold: two locks, builders, endpoints | tokio's I/O |
//! | `socket::kinds` | one short file per socket type | each other |
//! | `transports/*` | one file per scheme | each other, the sockets |
//!
//! `error`, `options` and `event` are values that the layers above share. `tests/layering.rs` has the exact table and
//! fails on a forbidden edge. Cycles cannot arise, since drivers and in-process peers see a socket as `dyn Port`, a
//! trait that belongs to `driver`; it also means that drivers are compiled once and not for each socket type.
//!
//! # The life of a message
//!
//! Out, by `Push` over tcp:
//!
//! 1. `send` locks *outbound*: the pattern, the table of pipes, those who wait.
//! 2. The pattern picks a pipe and offers it the message. A pipe at its mark says `Full` and leaves the ring until it
//!    has drained to half; if all are full, the task joins the line, and its future still owns the message.
//! 3. The pipe's outbox encodes the frames into its last chunk. A payload of 8 KiB or more is linked, not copied.
//! 4. Unlock. If the connection's task sleeps, wake it: its waker is taken, so the next thousand sends wake nobody.
//! 5. The connection's task writes control bytes (handshake, PING, subscriptions) first, then locks outbound, takes
//!    up to 128 KiB of chunks, and unlocks.
//! 6. It writes up to 64 slices at a time until all is written or the kernel is full. A message leaves the gauge when
//!    the kernel has its last byte. If that brings the queue down to half its mark and somebody was refused, the
//!    pipe joins the ring again and one sender is woken; who has sent wakes the next in line.
//! 7. If the link dies, the batch goes back to the head of the queue, from the first message that was not wholly
//!    written, and waits for the next link.
//!
//! In, by `Pull`:
//!
//! 1. The connection's task asks how many messages the lane still takes. None: it stops reading, and its waker stays
//!    in the lane until the lane has drained to half.
//! 2. It reads up to 64 KiB into a buffer that belongs to the thread, and is lent while a connection reads.
//! 3. The engine scans frame headers, and says: so many bytes, in which so many messages end, at most as many as
//!    there is room for; or a command; or that the handshake is done. A message is handed on only when it is whole.
//! 4. The run of bytes goes into the lane, under the *inbound* lock: by copy up to 4 KiB, so that a small message does
//!    not hold a read buffer; else split off. One receiver is woken.
//! 5. `recv` locks inbound, the pattern picks the lane whose turn it is, and its queue decodes one message into the
//!    caller's place: up to 22 bytes inline, up to 512 in an allocation of its own, above that shared.
//!
//! A frame larger than a read gets a buffer of its own, which grows with what has arrived and never with what its
//! header claims.
//!
//! *In-process*: `send` holds outbound of its own socket and puts the message into the inbox of its peer's lane, which
//! has a lock of its own. Only the message that comes into an empty one is announced, under the peer's inbound. `recv`
//! empties the inbox at one go when it has read what it took last. There is no task and no descriptor.
//!
//! *Fan-out*: the trie gives the pipes that match; the first one that is on a wire has the message encoded, and the
//! others append the same bytes, by copy up to 4 KiB, or 32 KiB for all of them, and shared above.
//!
//! *Subscriptions*: what must reach each new connection is never queued. At the handshake the pattern is asked, under
//! its lock, what a new peer must hear first; what changes later is queued behind that. So subscribing again after a
//! reconnect is no case of its own.
//!
//! # Locks
//!
//! Two per socket, one for each direction:
//!
//! ```text
//! outbound of a subscriber → outbound of its in-process publisher → inbound of any socket → inbox of a lane
//! ```
//!
//! Else nothing is taken under inbound but by a REQ, which holds its own while a request goes to an in-process peer; and
//! nobody is woken, and nothing reported, under either (but for a subscription between sockets of one process, which
//! wakes the publisher's side under the subscriber's lock): what a critical section
//! owes others is collected in what the lock guards and let go after unlocking. The pool of chunks has a lock of its
//! own, which is taken last of all and twice a chunk. The list of endpoints has a lock that is never held with
//! another. A critical section of the first four encodes or decodes one message and is some tens of nanoseconds long. The
//! exceptions are seldom: `recv_many` and fan-outs do many, a slab may have to be mapped or given back, and a peer that comes
//! or goes has its subscriptions with it. So these locks wake nobody. Who finds one taken looks for some microseconds, goes
//! before whoever comes later, and then sleeps a little at a time. They are `spin`'s within, all others `std`'s.
//!
//! Waiting is first come, first served. Whoever was woken and goes away without using it wakes the next one; whoever
//! did use it wakes the next one too, for there may be more.
//!
//! # The connection's task
//!
//! One future, polled by hand, rather than a reader and a writer: both directions, heartbeats and the handshake share
//! one engine, and one `poll` writes until the queue is empty or the kernel full, reads until the
//! kernel is empty or the lane full, and leaves its waker wherever it stopped. It has one timer, armed lazily. After
//! 256 KiB read it yields, as do `send` and `recv`; after 64 KiB where eight reads wait to be received.
//!
//! If one end is a REQ, which sends a message and waits, the waker that the task leaves in its outbox does not wake
//! the task: it writes in its stead, in the thread of whoever sends. That is why a connection has a lock after all,
//! which is only tried there, with none of a socket's held; if it is taken, if more than 64 KiB are to be written, or
//! anything else is to be done, the task is woken. So it is with the waker that is left at the wire: it reads, in the
//! event loop's turn, and wakes who waits for the message. Pinned to one core that is 0.95 of a round trip's time. A wire
//! must have said that it wakes with none of its locks held, as tokio's sockets do and quinn's streams do not.
//!
//! What the one in the outbox finds is nearly always one message. Its chunk is exchanged for an empty one, off the gauge
//! at once, and written without a batch; only what the kernel does not take becomes one, and is on the gauge again. With
//! that, and with less telling of what is known already (that a lane is empty, that a request is over), a round trip runs
//! a sixth fewer instructions, and pinned to one core takes 0.95 of its time.
//!
//! With `busy_poll` it is woken as well, for it looks. A look that goes through the event loop costs its system call and a
//! wake of the task, and only then reads; so the wire is read from besides, where tokio says that there is nothing
//! (`eager.rs` of the transports): 10.8 to 9.5 µs a round trip over tcp. Four such reads a look, rather than one, made it
//! 12 µs: the task has other things to do.
//!
//! It ends in order: everything written, its half shut down, then what still arrives is read and dropped until the
//! peer closes too. A close with unread bytes would reset the connection and destroy what the peer has not read.
//!
//! A heartbeat's clocks stand still while a lane is full: the peer's silence is then our doing.
//!
//! # Tried, and refused
//!
//! * **A lock per outgoing queue**, below the socket's routing lock. A `send` then takes two locks, and a fan-out one
//!   per peer, to save the drivers a wait of some tens of nanoseconds once in a batch.
//! * **Writing inside every `send`.** It saves a lone message a task switch, and loses the batching that throughput
//!   lives on: another library measured a factor of four to seven, and took it back. To and from a REQ there is nothing
//!   to batch, and there it stayed: 7 885 to 7 350 instructions a round trip and side; and 43 to 28 µs where the
//!   one who asks is the future of `block_on` on a multi-threaded runtime, which has to wake another thread for a task.
//! * **Asking the kernel for the answer right behind the question.** With both processes on one core it has often come by
//!   then. But a fourth of those reads found something, and what these gained the others lost.
//! * **Optimising for size** (`opt-level = "s"`), for over tcp most of our time on one core is the loading of code that the
//!   kernel has pushed out of the cache (0.35 ns an instruction; over ipc 0.1): 1.1 of a pinned round trip's time.
//! * **Fewer instructions still**: a message that is alone in what was read told at a glance, a connection's rare work out
//!   of line, a REP that does not look before it waits. 9 790 for 10 400 a pinned round trip, and the same time (1.00). What
//!   counts there is in how many places of memory the code lies: with its functions side by side (a symbol order given to
//!   the linker: 40 for 70 pages a side) a trip takes 0.95 to 0.97 of its time, and built with a profile (27 pages, 300 for
//!   487 lines of the cache) 0.82. That is for a program's build to choose, see [tuning](super::tuning).
//! * **Optimising the whole program at once** (`lto = "fat"`): 0.96 of a pinned round trip's time, nothing for 64 B a
//!   message, and a build takes twice as long.
//! * **Other sizes of chunks.** From 16 to 256 KiB made no clear difference; nor did taking 32 or 64 instead of
//!   128 KiB from a queue at once.
//! * **Yielding after 256 messages** instead of 512. Each system call then carries half as many small messages:
//!   64-byte messages went about 15 % slower.
//! * **Yielding by the number of messages alone.** With a bound of 512 KiB beside it, messages of 32 KiB went twice as
//!   fast: bytes under way then stay in the cache. 256 KiB is up to a tenth better again for messages of that size;
//!   128 KiB lost a fourth at 1 and 4 KiB over tcp.
//! * **One bound for copied and linked payloads.** What is linked lies in memory of its own, which comes round again
//!   only after all that was sent since; so it counts four times. 32 KiB went 1.35 times as fast over tcp and ipc.
//! * **Deferring a sender or receiver whose turn is over until the event loop has been asked** (`yield_now`), rather than
//!   to the end of the run queue: nothing for senders; half of 32 KiB a message for receivers.
//! * **Pooled buffers for copies of 8 to 64 KiB**, as larger ones have: no clear difference.
//! * **A send mark of 4 MiB by default.** A sender of large messages fills its queue to the mark of 64 MiB, for copying is
//!   faster than the kernel, and each message has left the cache by the time it is written. With 4 MiB they go 1.2 times as
//!   fast; but a mark is also how much a burst may be before its sender waits, or a subscriber misses some. So a PUSH, DEALER
//!   or PAIR whose turn is over waits while all peers have more than 1 MiB waiting, for 2 ms unless they take 1 MiB in that
//!   time: 1.1 to 1.4 times as fast over ipc, 1.1 times over tcp. With 2 MiB 256 KiB a message gained a twentieth less.
//! * **Reading twice what `recv` takes in a turn.** The lane then fills to its mark whenever the kernel has more, and
//!   what is read has left the cache by the time it is looked at. Now both are 256 KiB.
//! * **One budget whatever the number of peers.** A ROUTER under 64 busy DEALERs wrote five replies at once. It now
//!   yields after four times as much if it has four peers or more, and serves 1.3 to 2 times as many.
//! * **Looking a while longer after a bulk read**, 20 µs, before a connection sleeps, as `busy_poll` does when asked.
//!   What waking a sleeping receiver costs its sender is a third of a 32 KiB message; but it gained a tenth, and took
//!   half as much again of the receiver's time. It stayed for frames of which more than 64 KiB are still to come, where
//!   it costs both sides together nothing.
//! * **A waker of its own for reads**, so that a connection woken to write need not try to read. A thirtieth of a lone
//!   round trip's instructions, for another allocation a connection.
//! * **Whole chunks for the headers of large frames.** Every such frame ends its chunk, so each took 64 KiB for nine
//!   bytes: a third of the speed at 8 and 32 KiB.
//! * **Asking the outbox at every wake-up.** Most come from the kernel. A bell, an atomic that whoever queues rings,
//!   tells the task whether to look, without the lock that senders want.
//! * **`Into<Message>` as what can be sent.** A slice then becomes a frame of its own, only to be copied into the
//!   chunk and freed: a quarter of sending 64 bytes. [`IntoMessage`](crate::IntoMessage) shows the bytes first.
//! * **`Bytes` for middling payloads.** Four words, stored one by one and moved at once as vectors, stall every move;
//!   up to 512 bytes an allocation of two words is as good. Errors of `send` say which they are, with one pointer, and
//!   nothing beside it, for the same reason: since one had a number there, every `send` that succeeded lost a twelfth.
//! * **A struct of our own around a lock's guard**, moved to be released. It stalls likewise, and what unlocks waits for
//!   it. Bare guards gained a sixth in process, and about as much in a fan-out of 64 bytes to 64 subscribers.
//! * **Locks that wake who waits** (`std`'s, `parking_lot`'s), for what each message passes. To unlock is an atomic operation
//!   then, as to lock is, and both together were a fourth of sending 64 bytes; here it is a store. In process 1.15 times as
//!   fast without, a fan-out to 64 subscribers 1.05 times on one thread and 1.2 times on two, 64 bytes over tcp 1.04 times.
//! * **The same without turns.** A thread that locks again as soon as it has unlocked then wins nearly always: beside one that
//!   held the lock for 1 µs at a time another one waited 11 ms (median), for `std`'s 17 µs. Since it says that it waits, 0.9 µs,
//!   and all but a hundredth 13 µs (131).
//! * **In-process messages put straight into the lane, under the receiver's lock.** On two threads each message of 64 bytes
//!   waited for the other side, mostly in the kernel: 0.4 of what a tokio channel does there, where an inbox that is
//!   emptied at one go does as much as the channel, and on one thread a twentieth more than before.
//! * **In-process messages moved, whatever their size.** One thread then takes memory that the other gives back, and both
//!   wait for the allocator's lock, as they do with a channel: 3.5 M messages of 64 bytes a second, 1.1 M of 1 KiB. Encoded
//!   back to back as for a wire, and received there, 9.2 M and 6.2 M; on one thread too a sixth and two fifths more. What
//!   was a message of more than 512 bytes before it was sent is moved still, for a copy would cost more.
//! * **A received message made on the stack of `poll`**, not in the future of `recv`: moved once more, a twelfth slower.
//! * **71 bytes inside a frame.** 64-byte messages gained a tenth, since they need no allocation; those of 16 and 256
//!   lost as much, since every move is twice as large.
//! * **Messages as return values.** Handed up through five layers, a 40-byte message is stored in words and loaded in
//!   vectors, which processors cannot forward: a fifth of receiving 64 bytes. It is decoded in the caller's place.
//! * **Spare chunks of 64 KiB with each queue.** As fast as a pool, but 2 000 peers that had sent a burst held 77 MiB.
//! * **Chunks from the heap.** An allocator can give it back from its end only: 117 MiB stayed resident after that
//!   burst, though nothing used them. Chunks are cut from slabs, which are mapped and unmapped by themselves.
//! * **Remembering full read buffers**, to read into them again once their messages are gone. It halved page faults,
//!   and gained nothing once glibc's heap was kept from shrinking (see `Context`), which gained half at 32 KiB.
//! * **A radix trie** of subscriptions with a byte of depth a step: at 100 000 prefixes each node missed the cache.
//!   Hashed steps of 23 bytes match in half the instructions there, and cost twice as much at ten prefixes.
//! * **Copying large payloads.** From 8 KiB on, linking them is faster.
//! * **Copying whatever a fan-out sends to how many.** 64 copies of 1 KiB are more than a cache holds, and the kernel copies
//!   them once more: 1.2 to 1.3 times as fast with one, shared. For eight subscribers sharing loses a third.
//! * **Reading as much a turn beside many connections as alone.** On one thread each of 64 subscribers' connections read
//!   256 KiB before one of them received a message: 4 KiB a message go 1.6 times as fast with 64 KiB a turn, and 1 KiB to
//!   eight subscribers 1.3 times. A connection that is alone, and whose
//!   receiver keeps up, would lose a fourth: it asks how many read buffers are held.
//! * **A timer of the connection's runtime for every heartbeat.** Each time that a runtime waits while one is armed, it looks
//!   at its clock twice and has the kernel arm one too: of a round trip between two processes on one core a twentieth.
//!   Timers that are far away wait on a thread of their own, the only one that zocket starts inside a tokio program.
//! * **Turning the oldest handshake away as soon as the next peer comes**, when as many are under way as may be. Of 2 000
//!   clients that came at once half were, and came again 100 ms later. The next one waits now, up to a quarter of a second.
//! * **Letting connections cut in** before a task that publishes in a loop on another thread, by spinning for its lock while
//!   it gives way: nothing, with 64 subscribers. What a publisher loses there to a second thread are cache lines.
//! * **More read buffers held before small messages are copied** (16, 64, any number, not 8): no clear difference in a
//!   fan-out to 64 subscribers of one process.
//! * **One future for an accepted peer**, from its first byte to its end. Its task kept 1536 bytes for each of 2 000 peers,
//!   of which 384 are needed once it is known; what it needs until then is boxed, and goes.
//! * **Three streams for the latest values of a peer**, so that their windows bound what waits. Values of 20 bytes, 10 ms
//!   apart at a round trip of 100 ms: 16 of 50 arrived, and without conflate all. There are 128, which are always read; the
//!   newest waits outside of them.
//!
//! # Thought of, and refused
//!
//! * **No heartbeats within a machine.** What ends on this machine may be a tunnel to another one, and then nothing else
//!   finds out that the other is gone. Who knows better has [`Heartbeat::off`](crate::Heartbeat::off).
//! * **0-RTT over quic**, to send what may be repeated with the first packet: the greeting, READY, subscriptions. A
//!   connection takes two round trips until messages flow, TLS's and ZMTP's, of which our greeting and READY ride behind
//!   the first already; 0-RTT would save one of them, for peers that come back within the life of a ticket. A copy of that
//!   packet, which anybody on the path can send again, then makes a peer that is not there, for as long as a heartbeat
//!   takes to notice: a PUSH deals it messages that are lost, a PUB fills a queue for it, and in a ROUTER with `handover`
//!   it takes the name, and ends the connection, of the one that is. A listener would have to hold everything back until the
//!   handshake is over, and so would save nothing. Nor may anything go before READY has come, since it says what the peer
//!   speaks. And a resumed session proves no key anew: one that is not admitted any more, or has expired, would still get
//!   in. So each connection proves its keys, and no tickets are given out.
//!
//! # Room left
//!
//! For wires that are not streams (`Wire` has room for more kinds), for security mechanisms (behind a trait; NULL is
//! the first), for acknowledgements (a link that is lost gives back what was not written, and handshakes carry
//! properties for negotiation).
