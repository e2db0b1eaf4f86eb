// Queues of other C++ projects, doing the work of the harness in ../src/run.rs: one sample per start of this program.
//
//   cpp-peers QUEUE VARIANT stream|trips BYTES COUNT DEPTH BATCH SEND_WORK RECV_WORK CPU0 CPU1
//
// Prints the nanoseconds of a whole stream, or "nanoseconds trips" for each length of a round trip that occurred. Exits with 3 if
// there is no such variant. Message n has n in each word; every word is read, and their sum is compared at the end.

#include <atomic_queue/atomic_queue.h>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

using u64 = std::uint64_t;
using Clock = std::chrono::steady_clock;

struct Task {
    bool trips;
    u64 bytes, count, depth, batch, send_work, recv_work;
    int cpu0, cpu1;
};

[[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "cpp-peers: %s\n", what);
    std::_Exit(1);
}

static void pin(int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
}

static inline void work(u64 units) {
    for (u64 i = 0; i < 100 * units; ++i) asm volatile("" : : "r"(i));
}

template <std::size_t N> struct Message {
    u64 words[N];

    static Message of(u64 n) {
        Message m;
        for (auto& word : m.words) word = n;
        return m;
    }
    u64 sum() const {
        u64 total = 0;
        for (u64 word : words) total += word;
        return total;
    }
};

// Where the two ends wait for each other; in memory that a forked process shares.
struct Gate {
    alignas(128) std::atomic<u64> arrived[2][16];

    void meet(int which) {
        u64 times = arrived[which][0].fetch_add(1) + 1;
        while (arrived[1 - which][0].load() < times) relax();
    }
};

static Gate* new_gate() {
    void* memory = mmap(nullptr, sizeof(Gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return new (memory) Gate{};
}

template <class Here, class There> static void both(bool processes, Here here, There there, const Task& task) {
    if (processes) {
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            pin(task.cpu1);
            there();
            std::_Exit(0);
        }
        pin(task.cpu0);
        here();
        int status;
        waitpid(child, &status, 0);
        if (status != 0) fail("the other end failed");
        return;
    }
    std::thread other([&] {
        pin(task.cpu1);
        there();
    });
    pin(task.cpu0);
    here();
    other.join();
}

// One queue: send(n, max) and recv(max, sum) move at least none and return how many.
template <std::size_t N, class Queue> static void stream(const Task& task, bool processes, Queue& queue) {
    Gate* gate = new_gate();
    u64 warm = 2 * task.depth + 2 * task.batch;
    auto send = [&](u64 from, u64 to, u64 units) {
        for (u64 n = from; n < to;) {
            u64 sent = queue.send(n, to - n);
            if (sent == 0) relax();
            else if (units) work(units);
            n += sent;
        }
    };
    auto recv = [&](u64 count, u64& sum, u64 units) {
        for (u64 left = count; left > 0;) {
            u64 got = queue.recv(left, sum);
            if (got == 0) relax();
            else if (units) work(units);
            left -= got;
        }
    };
    auto here = [&] {
        u64 sum = 0, expected = 0;
        recv(warm, sum, 0);
        gate->meet(0);
        auto begin = Clock::now();
        recv(task.count, sum, task.recv_work);
        auto took = Clock::now() - begin;
        gate->meet(0);
        for (u64 n = 0; n < warm + task.count; ++n) expected += N * n;
        if (sum != expected) fail("messages were lost or changed");
        std::printf("%lld\n", (long long)std::chrono::nanoseconds(took).count());
    };
    auto there = [&] {
        send(0, warm, 0);
        gate->meet(1);
        send(warm, warm + task.count, task.send_work);
        gate->meet(1);
    };
    both(processes, here, there, task);
}

template <std::size_t N, class Queue> static void trips(const Task& task, bool processes, Queue& ask, Queue& answer) {
    Gate* gate = new_gate();
    u64 warm = 1000, total = warm + task.count;
    auto here = [&] {
        u64 sum = 0, expected = 0;
        std::vector<u64> times;
        times.reserve(total);
        gate->meet(0);
        auto begin = Clock::now();
        for (u64 n = 0; n < total; ++n) {
            while (!ask.send(n, 1)) relax();
            while (!answer.recv(1, sum)) relax();
            auto end = Clock::now();
            times.push_back(std::chrono::nanoseconds(end - begin).count());
            begin = end;
            expected += N * n;
        }
        gate->meet(0);
        if (sum != expected) fail("messages were lost or changed");
        std::map<u64, u64> counts;
        for (std::size_t i = warm; i < times.size(); ++i) ++counts[times[i]];
        for (auto [ns, count] : counts) std::printf("%llu %llu\n", (unsigned long long)ns, (unsigned long long)count);
    };
    auto there = [&] {
        u64 sum = 0;
        gate->meet(1);
        for (u64 n = 0; n < total; ++n) {
            while (!ask.recv(1, sum)) relax();
            while (!answer.send(n, 1)) relax();
        }
        gate->meet(1);
    };
    both(processes, here, there, task);
}

template <std::size_t N, class Queue> static void run(const Task& task, bool processes, std::unique_ptr<Queue> (*open)(const Task&)) {
    if (task.trips) {
        auto ask = open(task), answer = open(task);
        trips<N>(task, processes, *ask, *answer);
    } else {
        auto queue = open(task);
        stream<N>(task, processes, *queue);
    }
}

template <std::size_t N> struct BoostSpsc {
    boost::lockfree::spsc_queue<Message<N>> queue;
    std::vector<Message<N>> out, in;
    explicit BoostSpsc(const Task& task) : queue(task.depth), out(task.batch), in(task.batch) {}
};

template <std::size_t N> struct BoostSingle : BoostSpsc<N> {
    using BoostSpsc<N>::BoostSpsc;
    u64 send(u64 n, u64) { return this->queue.push(Message<N>::of(n)); }
    u64 recv(u64, u64& sum) {
        return this->queue.consume_one([&](const Message<N>& m) { sum += m.sum(); });
    }
};

template <std::size_t N> struct BoostBatch : BoostSpsc<N> {
    using BoostSpsc<N>::BoostSpsc;
    u64 send(u64 n, u64 max) {
        u64 some = std::min<u64>(max, this->out.size());
        for (u64 i = 0; i < some; ++i) this->out[i] = Message<N>::of(n + i);
        return this->queue.push(this->out.data(), some);
    }
    u64 recv(u64 max, u64& sum) {
        u64 some = this->queue.pop(this->in.data(), std::min<u64>(max, this->in.size()));
        for (u64 i = 0; i < some; ++i) sum += this->in[i].sum();
        return some;
    }
};

// Its queue of any type, told that there is one producer and one consumer.
template <std::size_t N> struct Atomic {
    atomic_queue::AtomicQueueB2<Message<N>, std::allocator<Message<N>>, true, false, true> queue;
    explicit Atomic(const Task& task) : queue(task.depth) {}
    u64 send(u64 n, u64) { return queue.try_push(Message<N>::of(n)); }
    u64 recv(u64, u64& sum) {
        Message<N> m;
        if (!queue.try_pop(m)) return 0;
        sum += m.sum();
        return 1;
    }
};

// For words that are never zero, the element itself says whether it is there.
struct AtomicWord {
    atomic_queue::AtomicQueueB<u64, std::allocator<u64>, 0, true, false, true> queue;
    explicit AtomicWord(const Task& task) : queue(task.depth) {}
    u64 send(u64 n, u64) { return queue.try_push(n + 1); }
    u64 recv(u64, u64& sum) {
        u64 word;
        if (!queue.try_pop(word)) return 0;
        sum += word - 1;
        return 1;
    }
};

template <std::size_t N> struct BoostMessages {
    using Queue = boost::interprocess::message_queue;
    std::string name;
    std::unique_ptr<Queue> queue;
    bool wait;

    BoostMessages(const Task& task, bool wait) : wait(wait) {
        static int made = 0;
        name = "shmq-bench-cpp-" + std::to_string(getpid()) + "-" + std::to_string(made++);
        queue = std::make_unique<Queue>(boost::interprocess::create_only, name.c_str(), task.depth, sizeof(Message<N>));
        // Both processes have it mapped; the name is not needed again.
        Queue::remove(name.c_str());
    }
    u64 send(u64 n, u64) {
        auto m = Message<N>::of(n);
        if (!wait) return queue->try_send(&m, sizeof m, 0);
        queue->send(&m, sizeof m, 0);
        return 1;
    }
    u64 recv(u64, u64& sum) {
        Message<N> m;
        Queue::size_type size;
        unsigned priority;
        if (!wait && !queue->try_receive(&m, sizeof m, size, priority)) return 0;
        if (wait) queue->receive(&m, sizeof m, size, priority);
        if (size != sizeof m) fail("another length than was sent");
        sum += m.sum();
        return 1;
    }
};

template <class Queue> static std::unique_ptr<Queue> open_plain(const Task& task) { return std::make_unique<Queue>(task); }

template <std::size_t N, bool WAIT> static std::unique_ptr<BoostMessages<N>> open_messages(const Task& task) {
    return std::make_unique<BoostMessages<N>>(task, WAIT);
}

template <std::size_t N> static bool sized(const std::string& queue, const std::string& variant, const Task& task) {
    if (queue == "spsc_queue" && variant == "try") run<N>(task, false, open_plain<BoostSingle<N>>);
    else if (queue == "spsc_queue" && variant == "batches") run<N>(task, false, open_plain<BoostBatch<N>>);
    else if (queue == "atomic_queue" && variant == "try" && N == 1) run<1>(task, false, open_plain<AtomicWord>);
    else if (queue == "atomic_queue" && variant == "try") run<N>(task, false, open_plain<Atomic<N>>);
    else if (queue == "message_queue" && variant == "try") run<N>(task, true, open_messages<N, false>);
    else if (queue == "message_queue" && variant == "recv") run<N>(task, true, open_messages<N, true>);
    else return false;
    return true;
}

int main(int count, char** argument) {
    if (count != 12) fail("eleven arguments, see the source");
    auto number = [&](int i) { return std::strtoull(argument[i], nullptr, 10); };
    std::string queue = argument[1], variant = argument[2];
    Task task{std::string(argument[3]) == "trips", number(4), number(5), number(6), number(7),
              number(8), number(9), (int)number(10), (int)number(11)};
    bool known = false;
    switch (task.bytes) {
        case 8: known = sized<1>(queue, variant, task); break;
        case 16: known = sized<2>(queue, variant, task); break;
        case 64: known = sized<8>(queue, variant, task); break;
        case 256: known = sized<32>(queue, variant, task); break;
        case 1024: known = sized<128>(queue, variant, task); break;
        case 4096: known = sized<512>(queue, variant, task); break;
    }
    return known ? 0 : 3;
}
