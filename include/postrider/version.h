/* The version of Postrider, as CMakeLists.txt has it; a gate compares the two. */
#ifndef POSTRIDER_VERSION_H
#define POSTRIDER_VERSION_H

/* MAJOR.MINOR.PATCH, Semantic Versioning 2.0.0. */
#define POSTRIDER_VERSION "0.1.0"

#endif
