"""The sessions of the sample summit, and what people say about them."""

# `slot` counts the slots that take sessions, `room` the rooms; both from 0. The first of `people`
# proposes the session.
SESSIONS = [
    {
        "title": "Opening: the state of Dunlin",
        "description": (
            "Where the last release left us, what the next one is about, and how the two days "
            "are organised. Bring questions; half of the time is for them."
        ),
        "comment": "The release notes are the best preparation.",
        "slot": 0,
        "room": 0,
        "people": "fern bram goran itzel jonas",
    },
    {
        "title": "Reproducible builds: the last two hundred",
        "description": (
            "Ninety-eight of a hundred source packages build bit for bit the same. We go "
            "through what is left, group it by cause, and hand out the groups."
        ),
        "comment": "Please look at the list of your own packages beforehand.",
        "slot": 1,
        "room": 0,
        "people": "aino chidi dagny emre",
    },
    {
        "title": "A release architecture called riscv64",
        "description": (
            "Build capacity, hardware for porters, and the packages that still fail their "
            "tests. At the end: a yes or a no for the next release."
        ),
        "comment": "I will bring three boards. Bring power strips.",
        "slot": 1,
        "room": 1,
        "people": "goran jonas",
    },
    {
        "title": "Translating the installer, without string freezes",
        "description": (
            "Translators see new strings weeks too late. A sketch of how drafts could reach "
            "them on the day they are merged."
        ),
        "comment": "Short talk, long discussion.",
        "slot": 1,
        "room": 3,
        "people": "hana bram fern itzel",
    },
    {
        "title": "Retiring the last init scripts",
        "description": (
            "Eleven packages still ship an init script and no unit. We write the units in the room."
        ),
        "comment": "Laptop needed; a container image is prepared.",
        "slot": 2,
        "room": 0,
        "people": "bram aino dagny emre fern goran",
    },
    {
        "title": "Mirrors: signed metadata end to end",
        "description": (
            "What a client checks today, what it could check, and how a mirror notices that "
            "it is being used against its readers."
        ),
        "comment": "Draft of the protocol is linked from my page.",
        "slot": 2,
        "room": 1,
        "people": "chidi",
    },
    {
        "title": "Autopkgtest in half the time",
        "description": (
            "The queue is eleven hours long on a bad day. Profiling it showed where eight of "
            "them go."
        ),
        "comment": "I have graphs.",
        "slot": 2,
        "room": 2,
        "people": "jonas hana itzel",
    },
    {
        "title": "Kernel configuration: what may go",
        "description": (
            "Six thousand options, four people. A tool proposes which ones nobody can be "
            "using; we check its opinion."
        ),
        "comment": "Bring your exotic hardware, or at least its lspci.",
        "slot": 3,
        "room": 0,
        "people": "dagny aino chidi fern goran hana jonas",
    },
    {
        "title": "First contribution, in an afternoon",
        "description": (
            "For newcomers, and for those who want to remember what it is like: from a bug to "
            "an upload, with somebody beside you."
        ),
        "comment": "Everybody is welcome. No question is too small.",
        "slot": 3,
        "room": 2,
        "people": "itzel bram",
    },
    {
        "title": "Secure Boot: the next shim review",
        "description": "What changed in the review process, and who prepares ours.",
        "comment": "Members of the security team, please come.",
        "slot": 3,
        "room": 3,
        "people": "emre",
    },
    {
        "title": "Package the Python stack once",
        "description": (
            "Three interpreters, two thousand modules. Can a binary package serve all "
            "supported versions? A prototype says yes."
        ),
        "comment": "Try the prototype on your favourite module first.",
        "slot": 4,
        "room": 0,
        "people": "aino hana jonas",
    },
    {
        "title": "Boot faster on slow disks",
        "description": (
            "Spinning disks and old cards: where the first forty seconds go, and which of "
            "them are ours."
        ),
        "comment": "Measurements from your oldest machine are very welcome.",
        "slot": 4,
        "room": 1,
        "people": "bram",
    },
    {
        "title": "Desktop: one session protocol",
        "description": (
            "The old display server leaves the default image. What breaks, for whom, and how "
            "we tell them."
        ),
        "comment": "Screen reader users: please come, we need you.",
        "slot": 4,
        "room": 2,
        "people": "fern dagny emre goran itzel",
    },
    {
        "title": "Bug triage marathon I",
        "description": "Ninety minutes of bugs in fifty. Bring coffee.",
        "comment": "The list is sorted by age, oldest first.",
        "slot": 4,
        "room": 3,
        "people": "chidi",
    },
    {
        "title": "Toolchain plans for the next release",
        "description": (
            "Compilers, linkers, hardening flags, and the rebuild that decides about them."
        ),
        "comment": "Results of the test rebuild are up.",
        "slot": 5,
        "room": 0,
        "people": "goran aino bram dagny",
    },
    {
        "title": "Documentation that people find",
        "description": (
            "Search logs of the handbook show what readers look for and do not get. We "
            "rewrite the ten worst pages."
        ),
        "comment": "Read the three pages I linked, and take notes on what annoys you.",
        "slot": 5,
        "room": 2,
        "people": "hana emre fern itzel jonas",
    },
    {
        "title": "Live patching, honestly",
        "description": (
            "What can be patched without a reboot, what cannot, and what we promise to whom."
        ),
        "comment": "There will be a demonstration, so there will be a failure.",
        "slot": 6,
        "room": 0,
        "people": "dagny",
    },
    {
        "title": "Key rotation for the archive",
        "description": (
            "The signing key expires before the next release does. Steps, dates, people."
        ),
        "comment": "We leave with a date, or nobody leaves.",
        "slot": 6,
        "room": 1,
        "people": "emre aino bram chidi fern hana",
    },
    {
        "title": "Teaching packaging at a university",
        "description": (
            "What worked in two terms, what did not, and the course material for you to take."
        ),
        "comment": "Slides and exercises are under a free licence.",
        "slot": 6,
        "room": 3,
        "people": "itzel goran jonas",
    },
    {
        "title": "Continuous integration for the whole archive",
        "description": (
            "Test each merge against everything that depends on it: cost, benefit, and a plan "
            "that starts small."
        ),
        "comment": "Numbers from the pilot are in the paper.",
        "slot": 7,
        "room": 0,
        "people": "jonas fern",
    },
    {
        "title": "Reproducible images",
        "description": (
            "Packages reproduce; installer images do not yet. Five causes, and patches for "
            "three of them."
        ),
        "comment": "Continues what we start on the first day.",
        "slot": 7,
        "room": 1,
        "people": "aino emre hana",
    },
    {
        "title": "An archive that answers questions",
        "description": (
            "Which packages ship this file, call this function, carry this licence? An index, "
            "and an interface to it."
        ),
        "comment": "Bring a question that you could not answer last year.",
        "slot": 7,
        "room": 2,
        "people": "chidi bram dagny goran itzel",
    },
    {
        "title": "Services that cannot write where they should not",
        "description": (
            "Default sandboxing for network services: the profile, the exceptions, the schedule."
        ),
        "comment": "Maintainers of daemons: this is about you.",
        "slot": 8,
        "room": 0,
        "people": "bram",
    },
    {
        "title": "Cross-building without tears",
        "description": (
            "From a laptop to any release architecture. What still needs a native builder, and why."
        ),
        "comment": "Works on my machine; let us see about yours.",
        "slot": 8,
        "room": 2,
        "people": "goran dagny emre hana itzel jonas",
    },
    {
        "title": "Design clinic",
        "description": "Bring a screen of yours that people find hard. Fifteen minutes each.",
        "comment": "Put your name on the list below.",
        "slot": 8,
        "room": 3,
        "people": "fern aino chidi",
    },
    {
        "title": "Firmware and licences",
        "description": (
            "What may be redistributed, what may be modified, and how the installer says so."
        ),
        "comment": "Not legal advice, but nearly.",
        "slot": 9,
        "room": 0,
        "people": "dagny bram fern goran itzel",
    },
    {
        "title": "Right to left, top to bottom",
        "description": (
            "Interfaces in scripts that most of us cannot read. A checklist, and ten bugs to "
            "fix in the room."
        ),
        "comment": "Readers of Arabic, Hebrew and Mongolian: help wanted.",
        "slot": 9,
        "room": 1,
        "people": "hana aino chidi emre jonas",
    },
    {
        "title": "Security updates within a day",
        "description": "From an advisory to a mirror: where the hours go, measured over a year.",
        "comment": "The timeline of each update is public.",
        "slot": 10,
        "room": 0,
        "people": "emre bram dagny",
    },
    {
        "title": "Bug triage marathon II",
        "description": "What the first one left over.",
        "comment": "Yes, there is cake afterwards. No, before.",
        "slot": 10,
        "room": 1,
        "people": "jonas aino chidi fern hana",
    },
    {
        "title": "Mentors and mentees",
        "description": "How last year went, from both sides, and who would do it again.",
        "comment": "Please come even if you only think about it.",
        "slot": 10,
        "room": 3,
        "people": "itzel goran",
    },
    {
        "title": "Closing, and who does what",
        "description": (
            "Every session says in one minute what was decided and who does it. Then we tidy up."
        ),
        "comment": "Send me one slide with one sentence.",
        "slot": 11,
        "room": 0,
        "people": "fern aino chidi emre goran hana itzel",
    },
    {
        "title": "Packaging for phones",
        "description": "Small screens, large blobs. What would it take?",
        "comment": "Looking for others who have tried it.",
        "people": "chidi aino bram dagny goran",
    },
    {
        "title": "A typeface for the terminal",
        "description": "A pleasant argument about the shape of zeroes.",
        "comment": "Any late hour suits me.",
        "people": "hana chidi dagny",
    },
    {
        "title": "Measuring energy per build",
        "description": "A plug-in meter, a weekend and a surprising table.",
        "comment": "Fits into half a slot.",
        "people": "jonas bram",
    },
]

# Further comments, by the session's title: who, and what.
COMMENTS = {
    "Reproducible builds: the last two hundred": [
        ("goran", "About sixty of them embed the build path. One compiler flag would do."),
        ("chidi", "And twenty embed the time. I have patches for most of those."),
        ("aino", "Then let us start with these two groups, and split up after half an hour."),
    ],
    "A release architecture called riscv64": [
        ("dagny", "The kernel side is ready. What is missing is somebody to say so."),
    ],
    "Desktop: one session protocol": [
        ("hana", "Input methods still need a look. I can show what fails."),
        ("emre", "Remote sessions too."),
    ],
    "Key rotation for the archive": [
        ("chidi", "Mirrors will want two weeks of notice."),
    ],
    "Packaging for phones": [
        ("itzel", "Two of my students have. I will ask them to come."),
    ],
}
